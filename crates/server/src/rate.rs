//! How often somebody may do something: a bucket of tokens for each address, which fills again with time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Addresses that are remembered, of some 50 bytes each. Beyond it the full buckets are forgotten, and if there are
/// none, all of them: who has so many addresses can't be held back by them.
const ADDRESSES: usize = 100_000;

/// So many at once, and so many a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a minute, in the long run; also how many at once.
    pub per_minute: u32,
}

/// The buckets of one kind of doing.
pub(crate) struct Limiter {
    rate: Rate,
    buckets: Mutex<HashMap<IpAddr, Bucket>>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Limiter {
    pub(crate) fn new(rate: Rate) -> Limiter {
        Limiter { rate, buckets: Mutex::default() }
    }

    /// Whether there is a token left; if not, how long until there is one.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Duration> {
        self.judge(self.present(&self.lock(), address))
    }

    /// Takes a token, if there is one left.
    pub(crate) fn take(&self, address: IpAddr) -> Result<(), Duration> {
        let mut buckets = self.lock();
        let bucket = self.present(&buckets, address);
        self.judge(bucket)?;
        if buckets.len() >= ADDRESSES {
            buckets.retain(|_, bucket| self.filled(*bucket).tokens < self.most());
            if buckets.len() >= ADDRESSES {
                buckets.clear();
            }
        }
        buckets.insert(whose(address), Bucket { tokens: bucket.tokens - 1.0, ..bucket });
        Ok(())
    }

    fn judge(&self, bucket: Bucket) -> Result<(), Duration> {
        match bucket.tokens >= 1.0 {
            true => Ok(()),
            false => Err(Duration::from_secs_f64((1.0 - bucket.tokens) / self.per_second())),
        }
    }

    fn present(&self, buckets: &HashMap<IpAddr, Bucket>, address: IpAddr) -> Bucket {
        let full = Bucket { tokens: self.most(), at: Instant::now() };
        buckets.get(&whose(address)).map_or(full, |bucket| self.filled(*bucket))
    }

    fn filled(&self, bucket: Bucket) -> Bucket {
        let now = Instant::now();
        let more = now.duration_since(bucket.at).as_secs_f64() * self.per_second();
        Bucket { tokens: (bucket.tokens + more).min(self.most()), at: now }
    }

    fn most(&self) -> f64 {
        f64::from(self.rate.per_minute.max(1))
    }

    fn per_second(&self) -> f64 {
        self.most() / 60.0
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Bucket>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who has an IPv6 address has mostly all that share its first 64 bits.
fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_empties_and_fills_again() {
        let limiter = Limiter::new(Rate { per_minute: 2 });
        let ann = address("192.0.2.1");
        assert_eq!((limiter.take(ann), limiter.take(ann)), (Ok(()), Ok(())));
        let wait = limiter.take(ann).unwrap_err();
        assert_eq!(wait, Duration::from_secs(30));
        assert_eq!(limiter.take(address("192.0.2.2")), Ok(()), "somebody else");
        tokio::time::advance(wait).await;
        assert_eq!(limiter.take(ann), Ok(()));
        assert!(limiter.check(ann).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_of_one_network_share_a_bucket_where_networks_are_large() {
        let limiter = Limiter::new(Rate { per_minute: 1 });
        assert_eq!(limiter.take(address("2001:db8::1")), Ok(()));
        assert!(limiter.take(address("2001:db8::2")).is_err());
        assert_eq!(limiter.take(address("2001:db8:0:1::1")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_buckets_is_bounded() {
        let limiter = Limiter::new(Rate { per_minute: 1 });
        for number in 0..=ADDRESSES {
            let address = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
            assert_eq!(limiter.take(address.into()), Ok(()));
        }
        assert!(limiter.lock().len() <= ADDRESSES);
    }
}
