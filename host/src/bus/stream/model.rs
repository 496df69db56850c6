//! Streams against a plain model: whatever is done at both ends, one step after the other, comes out as it must.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const AT_ONCE: Duration = Duration::ZERO;
const WINDOW: Window = Window { items: 3, bytes: 100 };

#[derive(Debug, Clone)]
enum Step {
    Send(Side, usize),
    Receive(Side),
    Finish(Side),
    Leave(u8),
    MoveOn,
    End(End),
    Drop,
    Attach,
    Cancel,
}

fn steps() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![Just(Side::Opener), Just(Side::Handler)];
    let end = prop_oneof![
        Just(End::Finished),
        Just(End::Failed("no".to_owned())),
        Just(End::Panicked("oh".to_owned()))
    ];
    prop_oneof![
        12 => (side(), 0..150_usize).prop_map(|(side, len)| Step::Send(side, len)),
        12 => side().prop_map(Step::Receive),
        1 => side().prop_map(Step::Finish),
        2 => any::<u8>().prop_map(Step::Leave),
        2 => Just(Step::MoveOn),
        2 => end.prop_map(Step::End),
        1 => Just(Step::Drop),
        4 => Just(Step::Attach),
        1 => Just(Step::Cancel),
    ]
}

/// All that was ever sent on a way, and how much of it was received.
#[derive(Debug, Default)]
struct Sent {
    items: Vec<Vec<u8>>,
    received: usize,
    is_finished: bool,
}

impl Sent {
    fn on_the_way(&self) -> &[Vec<u8>] {
        &self.items[self.received..]
    }

    fn takes(&self, len: usize) -> bool {
        let (count, bytes) = (self.on_the_way().len(), self.on_the_way().concat().len());
        count == 0 || (count < WINDOW.items && bytes + len <= WINDOW.bytes)
    }
}

/// The rules, without a thought of how they are kept.
#[derive(Debug)]
struct Model {
    opener: Sent,
    handler: Sent,
    // How it ended; before the first handler it is as if one had let go.
    end: Option<End>,
    is_moving: bool,
    handlers: u64,
    token: Vec<u8>,
}

impl Model {
    fn way(&mut self, side: Side) -> &mut Sent {
        if side == Side::Opener { &mut self.opener } else { &mut self.handler }
    }

    /// Why this side does nothing any more.
    fn over(&self, side: Side) -> Option<End> {
        if side == Side::Handler && self.end.is_none() && self.is_moving {
            return Some(End::Moved);
        }
        self.end.clone()
    }

    fn send(&mut self, side: Side, item: &[u8]) -> Result<(), Stuck> {
        if let Some(end) = self.over(side) {
            return Err(Stuck::Ended(end));
        }
        let way = self.way(side);
        if way.is_finished {
            return Err(Stuck::Ended(End::Finished));
        }
        if !way.takes(item.len()) {
            return Err(Stuck::TimedOut);
        }
        way.items.push(item.to_vec());
        Ok(())
    }

    fn receive(&mut self, side: Side) -> Result<Option<Vec<u8>>, Stuck> {
        let over = self.over(side);
        if side == Side::Handler
            && let Some(end) = over
        {
            return Err(Stuck::Ended(end));
        }
        let way = self.way(if side == Side::Opener { Side::Handler } else { Side::Opener });
        if let Some(item) = way.on_the_way().first().cloned() {
            way.received += 1;
            return Ok(Some(item));
        }
        match (over, way.is_finished) {
            (Some(End::Finished), _) | (None, true) => Ok(None),
            (Some(end), _) => Err(Stuck::Ended(end)),
            (None, false) => Err(Stuck::TimedOut),
        }
    }

    fn end(&mut self, end: End) {
        if self.end.is_some() {
            return;
        }
        let lets_go = match &end {
            End::Panicked(_) => false,
            End::Finished => !self.handler.is_finished,
            _ => true,
        };
        self.end = Some(if self.is_moving && lets_go { End::Moved } else { end });
    }

    fn cancel(&mut self) {
        if matches!(self.end, None | Some(End::Moved)) {
            self.end = Some(End::Cancelled);
        }
        self.handler.received = self.handler.items.len();
    }

    fn attach(&mut self) -> Option<Option<Resumed>> {
        if self.end != Some(End::Moved) {
            return None;
        }
        (self.end, self.is_moving) = (None, false);
        self.handlers += 1;
        let resumed = Resumed {
            token: self.token.clone(),
            sent: self.handler.items.len() as u64,
            received: self.opener.received as u64,
        };
        Some((self.handlers > 1).then_some(resumed))
    }
}

proptest! {
    #[test]
    fn what_is_done_at_both_ends_comes_out_as_the_rules_say(steps in vec(steps(), 1..200)) {
        let opener = Opener::with(WINDOW, None);
        let mut model = Model {
            opener: Sent::default(),
            handler: Sent::default(),
            end: Some(End::Moved),
            is_moving: false,
            handlers: 0,
            token: Vec::new(),
        };
        let (mut handler, mut count): (Option<Handler>, u8) = (None, 0);
        for step in steps {
            match step {
                Step::Send(side, len) => {
                    count = count.wrapping_add(1);
                    let item = vec![count; len];
                    match (side, &handler) {
                        (Side::Opener, _) => {
                            prop_assert_eq!(opener.send(&item, AT_ONCE), model.send(side, &item));
                        }
                        (Side::Handler, Some(handler)) => {
                            prop_assert_eq!(handler.send(&item, AT_ONCE), model.send(side, &item));
                        }
                        (Side::Handler, None) => {}
                    }
                }
                Step::Receive(side) => match (side, &handler) {
                    (Side::Opener, _) => prop_assert_eq!(opener.receive(AT_ONCE), model.receive(side)),
                    (Side::Handler, Some(handler)) => {
                        prop_assert_eq!(handler.receive(AT_ONCE), model.receive(side));
                    }
                    (Side::Handler, None) => {}
                },
                Step::Finish(side) => match (side, &handler) {
                    (Side::Opener, _) => {
                        opener.finish();
                        model.opener.is_finished = true;
                    }
                    (Side::Handler, Some(handler)) => {
                        handler.finish();
                        model.handler.is_finished |= model.end.is_none();
                    }
                    (Side::Handler, None) => {}
                },
                Step::Leave(token) => if let Some(handler) = &handler {
                    let left = handler.leave(&[token]);
                    match &model.end {
                        Some(end) => prop_assert_eq!(left, Err(Stuck::Ended(end.clone()))),
                        None => model.token = vec![token],
                    }
                },
                Step::MoveOn => if let Some(handler) = &handler {
                    handler.mover().move_on();
                    model.is_moving |= model.end.is_none();
                    prop_assert_eq!(handler.cancel.is_cancelled(), model.end.is_some() || model.is_moving);
                },
                Step::End(end) => if let Some(handler) = handler.take() {
                    handler.end(end.clone());
                    model.end(end);
                },
                Step::Drop => if handler.take().is_some() {
                    model.end(End::Cancelled);
                },
                Step::Attach => {
                    let attached = opener.attach();
                    let resumed = attached.as_ref().map(|handler| handler.resumed().cloned());
                    prop_assert_eq!(resumed, model.attach());
                    if attached.is_some() {
                        handler = attached;
                    }
                }
                Step::Cancel => {
                    opener.cancel();
                    model.cancel();
                }
            }
            prop_assert_eq!(opener.is_moved(), model.end == Some(End::Moved));
        }
    }
}
