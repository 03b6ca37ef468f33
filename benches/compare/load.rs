//! The resources that a contender uses while nothing is rotated.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep_until};

use crate::common::audit::Call;
use crate::common::process::Tree;
use crate::common::store::Store;
use crate::contender::{Contender, Kind};

/// The interval at which memory is sampled. Programs that live shorter than that are only seen now and then.
const SAMPLE: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// The mean and the highest memory in bytes, of the contender and all its descendants.
    pub rss: u64,
    pub most_rss: u64,
    /// The CPU, in cores.
    pub cpu: f64,
    /// The calls to the source, per key and minute.
    pub calls: f64,
}

impl Load {
    /// Measures contenders side by side, and returns the results in their order.
    pub async fn of(
        contenders: &[Contender],
        store: &Store,
        keys: usize,
        time: Duration,
    ) -> Vec<Self> {
        let trees = || contenders.iter().map(|contender| Tree::of(contender.pid()));
        let mark = store.audit.mark();
        let before: Vec<Tree> = trees().collect();
        let begun = Instant::now();
        let mut loads = vec![Self::default(); contenders.len()];
        let mut samples = 0;
        let mut ticks = interval(SAMPLE);
        while begun.elapsed() + SAMPLE < time {
            ticks.tick().await;
            samples += 1;
            for (load, tree) in loads.iter_mut().zip(trees()) {
                load.rss += tree.rss;
                load.most_rss = load.most_rss.max(tree.rss);
            }
        }
        sleep_until(begun + time).await;
        let elapsed = begun.elapsed();
        let after: Vec<Tree> = trees().collect();
        contenders.iter().for_each(Contender::must_run);
        let calls = store.audit.since(mark);
        for (index, load) in loads.iter_mut().enumerate() {
            load.rss /= samples.max(1);
            let cpu = after[index].cpu.saturating_sub(before[index].cpu);
            load.cpu = cpu.as_secs_f64() / elapsed.as_secs_f64();
            let made = made_by(&calls, contenders[index].kind) as f64;
            load.calls = made / keys as f64 / (elapsed.as_secs_f64() / 60.0);
        }
        loads
    }
}

fn made_by(calls: &[Call], kind: Kind) -> usize {
    calls.iter().filter(|call| call.who == kind.role()).count()
}
