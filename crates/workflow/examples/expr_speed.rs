//! Prints how many times a second `a.b == 'c'` is evaluated.

use std::hint::black_box;
use std::time::{Duration, Instant};

use workflow::expr::{Allowed, Expression, Object, Scope, Value};

/// How long to measure: long enough that the clock does not matter.
const MEASURED: Duration = Duration::from_secs(1);

/// Evaluations between two looks at the clock.
const BATCH: u32 = 10_000;

struct Contexts(Value);

impl Scope for Contexts {
    fn context(&self, name: &str) -> Option<Value> {
        (name == "a").then(|| self.0.clone())
    }

    fn status(&self, _function: &str) -> Option<bool> {
        None
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let context: Object = [("x", Value::Null), ("b", Value::from("c"))].into_iter().collect();
    let scope = Contexts(Value::object(context));
    let allowed = Allowed { contexts: &["a"], functions: &[] };
    let expression = Expression::parse("a.b == 'c'", Some(&allowed))?;
    let start = Instant::now();
    let mut evaluations = 0_u64;
    while start.elapsed() < MEASURED {
        for _ in 0..BATCH {
            black_box(black_box(&expression).evaluate(&scope)?);
        }
        evaluations += u64::from(BATCH);
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than six digits")]
    let rate = evaluations as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} evaluations per second");
    Ok(())
}
