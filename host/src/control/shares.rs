//! Places for those who call, of which one service has no more than its share: who calls a slow one keeps nobody from the others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::protocol::Request;

impl Request {
    /// Whether it waits for plugins, and for which, where that is one.
    pub(crate) fn waits_for(&self) -> Option<Option<&str>> {
        match self {
            Request::Call { service, .. } => Some(Some(service)),
            Request::Publish { .. } | Request::Ask { .. } => Some(None),
            _ => None,
        }
    }
}

/// The places of one control plane.
#[derive(Debug)]
pub(super) struct Shares {
    all: Arc<Semaphore>,
    each: usize,
    services: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// A place. It is free again when this is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "they are held")]
pub(super) struct Place(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Shares {
    /// So many places in all, and so many for each service.
    pub(super) fn new(all: usize, each: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, services: Mutex::default() }
    }

    /// A place with a service, or with none, when there is one within `deadline`. Whoever waits for the service's has none of the others'.
    pub(super) async fn place(&self, service: Option<&str>, deadline: Duration) -> Option<Place> {
        let take = async {
            let own = match service {
                Some(service) => Some(self.of(service).acquire_owned().await.ok()?),
                None => None,
            };
            Some(Place(Arc::clone(&self.all).acquire_owned().await.ok()?, own))
        };
        timeout(deadline, take).await.ok().flatten()
    }

    /// The same at once.
    pub(super) fn place_now(&self, service: Option<&str>) -> Option<Place> {
        let own = match service {
            Some(service) => Some(self.of(service).try_acquire_owned().ok()?),
            None => None,
        };
        Some(Place(Arc::clone(&self.all).try_acquire_owned().ok()?, own))
    }

    fn of(&self, service: &str) -> Arc<Semaphore> {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        // Anybody can ask for any name: those that nobody is with are forgotten.
        services.retain(|_, share| Arc::strong_count(share) > 1);
        let share = services.entry(service.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Arc::clone(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn who_waits_for_one_service_keeps_nobody_from_another() {
        let shares = Shares::new(5, 2);
        let mut slow = Vec::new();
        for _ in 0..2 {
            slow.push(shares.place(Some("slow"), MOMENT).await.unwrap());
        }
        assert!(
            shares.place(Some("slow"), MOMENT).await.is_none() && shares.place_now(Some("slow")).is_none()
        );
        let others = [shares.place_now(Some("other")), shares.place_now(None), shares.place_now(None)];
        assert!(others.iter().all(Option::is_some));
        assert!(shares.place_now(Some("third")).is_none(), "all are taken");
        slow.pop();
        assert!(shares.place(Some("slow"), MOMENT).await.is_some());
    }

    #[tokio::test]
    async fn a_service_that_nobody_is_with_is_forgotten() {
        let shares = Shares::new(5, 2);
        let place = shares.place_now(Some("first"));
        for name in 0..100 {
            drop(shares.place_now(Some(&name.to_string())));
        }
        let services = || shares.services.lock().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(services(), ["99", "first"]);
        drop(place);
        drop(shares.place_now(Some("last")));
        assert_eq!(services(), ["last"]);
    }
}
