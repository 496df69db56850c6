//! A route: the mailboxes that a topic leads to.

use std::iter::repeat_n;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::mailbox::Took;
use super::{Message, Subscriber};

/// Of one topic, as the subscriptions are.
#[derive(Debug, Default)]
pub(super) struct Route {
    alone: Vec<Arc<Subscriber>>,
    groups: Vec<Group>,
    // Who answers requests.
    answering: Option<Group>,
}

/// Of its members one takes a message.
#[derive(Debug)]
pub(super) struct Group {
    next: AtomicUsize,
    members: Vec<Arc<Subscriber>>,
}

/// What became of a message along its route.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Mailboxes that took it.
    pub(super) taken: usize,
    /// Those that did not, and why.
    pub(super) refused: Vec<(Arc<Subscriber>, Took)>,
    /// Groups of which all have just gone, each by one of those, with the message.
    pub(super) gone: Vec<(Arc<Subscriber>, Message)>,
}

impl Route {
    /// To these, and to those who answer requests.
    pub(super) fn new(subscribers: Vec<Arc<Subscriber>>, answering: Vec<Arc<Subscriber>>) -> Self {
        let answering =
            (!answering.is_empty()).then_some(Group { next: AtomicUsize::new(0), members: answering });
        let mut route = Self { answering, ..Self::default() };
        for subscriber in subscribers {
            let Some(group) = subscriber.group.clone() else {
                route.alone.push(subscriber);
                continue;
            };
            let known = route.groups.iter_mut().find(|known| known.members[0].group.as_ref() == Some(&group));
            match known {
                Some(known) => known.members.push(subscriber),
                None => route.groups.push(Group { next: AtomicUsize::new(0), members: vec![subscriber] }),
            }
        }
        route
    }

    /// Those of whom one answers a request.
    pub(super) fn answering(&self) -> Option<&Group> {
        self.answering.as_ref()
    }

    /// Puts a message into each mailbox, and into one of each group. All of them together are waited for until `until`, which is
    /// asked for when the first one has no room.
    pub(super) fn carry(
        &self,
        message: Message,
        confirmed: bool,
        until: impl Fn() -> Option<Instant>,
    ) -> Carried {
        let mut carried = Carried::default();
        let mut limit: Option<Option<Instant>> = None;
        // The last one gets the message itself: those before it are read, and given up, on other processors already.
        let mut messages = repeat_n(message, self.alone.len() + self.groups.len());
        for (subscriber, message) in self.alone.iter().zip(&mut messages) {
            let until = || *limit.get_or_insert_with(&until);
            let took = subscriber.mailbox.push(message, confirmed, until);
            // One that has just gone is nobody's any more.
            if took != Took::Closed {
                carried.note(subscriber, took);
            }
        }
        for (group, message) in self.groups.iter().zip(messages) {
            let (member, took) = group.carry(&message, confirmed, || *limit.get_or_insert_with(&until));
            match took {
                Took::Closed => carried.gone.push((Arc::clone(member), message)),
                took => carried.note(member, took),
            }
        }
        carried
    }

    /// Puts a message that found all of a group gone into the mailbox of one who has come meanwhile.
    pub(super) fn carry_again(
        &self,
        (gone, message): (Arc<Subscriber>, Message),
        confirmed: bool,
        until: impl Fn() -> Option<Instant>,
        carried: &mut Carried,
    ) {
        let group = self.groups.iter().find(|group| group.members[0].group == gone.group);
        match group.map(|group| group.carry(&message, confirmed, &until)) {
            None | Some((_, Took::Closed)) => carried.gone.push((gone, message)),
            Some((member, took)) => carried.note(member, took),
        }
    }
}

impl Group {
    /// Whoever is next and has room; where nobody has, what is done is for who is next to say. Who leaves or rests meanwhile, or has
    /// no room in the end, does not take it from the others: they are asked once more.
    pub(super) fn carry(
        &self,
        message: &Message,
        confirmed: bool,
        mut until: impl FnMut() -> Option<Instant>,
    ) -> (&Arc<Subscriber>, Took) {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let mut last = None;
        loop {
            let members = (0..self.members.len())
                .map(|after| &self.members[(next.wrapping_add(after)) % self.members.len()]);
            let (mut full, mut resting) = (None, None);
            for member in members {
                match member.mailbox.offer(message) {
                    Took::Taken => return (member, Took::Taken),
                    Took::Full => drop(full.get_or_insert(member)),
                    Took::Resting => drop(resting.get_or_insert(member)),
                    Took::Closed => {}
                }
            }
            // Who had no room, or none takes anything now: it counts as refused by one of them, once.
            let asked = match last {
                Some((_, Took::Full)) => None,
                Some((_, Took::Resting)) => full,
                _ => full.or(resting),
            };
            let Some(member) = asked else {
                return last.unwrap_or((&self.members[next % self.members.len()], Took::Closed));
            };
            let took = member.mailbox.push(message.clone(), confirmed, &mut until);
            if took == Took::Taken {
                return (member, took);
            }
            last = Some((member, took));
        }
    }
}

impl Carried {
    /// Nobody comes for these any more.
    pub(super) fn give_up(&mut self) {
        self.refused.extend(self.gone.drain(..).map(|(member, _)| (member, Took::Closed)));
    }

    fn note(&mut self, subscriber: &Arc<Subscriber>, took: Took) {
        match took {
            Took::Taken => self.taken += 1,
            took => self.refused.push((Arc::clone(subscriber), took)),
        }
    }
}
