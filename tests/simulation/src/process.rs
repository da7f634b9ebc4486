//! A process: what it asks of the world goes through here, and nothing any more once it is dead.

use crate::world::World;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio_util::sync::CancellationToken;

/// Deaths in one storm: enough to meet each place, few enough to end.
const MOST_DEATHS: u64 = 16;

/// A life of a process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) world: Arc<World>,
    pub(crate) name: String,
    /// Whether it may die of what it asks; a client of ours may not.
    mortal: bool,
    dead: CancellationToken,
    signal: AtomicI32,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    /// It fails, and nothing was done.
    Fails,
    /// It was done, and the answer is lost.
    AnswerLost,
    /// It fails, and is done later all the same.
    DoneLate,
    /// The process dies before it is done.
    DiesBefore,
    /// It is done, and the process dies before it hears of it.
    DiesAfter,
    /// The process dies, and it is done later all the same.
    DiesDoneLate,
}

impl Process {
    pub(crate) fn new(world: &Arc<World>, name: String, mortal: bool) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            name,
            mortal,
            dead: CancellationToken::new(),
            signal: AtomicI32::new(9),
        })
    }

    /// A process that dies with this one, or before it.
    pub(crate) fn child(&self, name: String) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(&self.world),
            name,
            mortal: self.mortal,
            dead: self.dead.child_token(),
            signal: AtomicI32::new(9),
        })
    }

    pub(crate) fn kill(&self, signal: i32) {
        if !self.dead.is_cancelled() {
            self.signal.store(signal, Ordering::Relaxed);
            self.world.note(format!("{} is killed by signal {signal}", self.name));
            self.dead.cancel();
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.is_cancelled()
    }

    /// Waits for its death and tells the signal.
    pub(crate) async fn death(&self) -> i32 {
        self.dead.cancelled().await;
        self.signal.load(Ordering::Relaxed)
    }

    /// What is dead goes no further.
    pub(crate) async fn live(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    fn fate(&self) -> Fate {
        let world = &self.world;
        let late = world.chance(0.3);
        if self.mortal
            && world.fault(world.rates.crash)
            && world.counted("crashes") < MOST_DEATHS * world.counted("storms")
        {
            world.count("crashes");
            return match world.below(3) {
                0 => Fate::DiesBefore,
                1 if late => Fate::DiesDoneLate,
                _ => Fate::DiesAfter,
            };
        }
        if world.fault(world.rates.fail) {
            world.count("failed_calls");
            return match world.below(3) {
                0 => Fate::Fails,
                1 if late => Fate::DoneLate,
                _ => Fate::AnswerLost,
            };
        }
        Fate::Well
    }

    /// Lets some time pass, mostly none.
    pub(crate) async fn pause(&self) {
        let world = &self.world;
        match world.below(10) {
            0..4 => {}
            4..7 => tokio::task::yield_now().await,
            _ if world.fault(world.rates.slow) => {
                world.count("delays");
                let longest = if world.chance(0.05) { 60_000 } else { 3_000 };
                tokio::time::sleep(world.millis(20, longest)).await;
            }
            _ => tokio::time::sleep(world.millis(1, 20)).await,
        }
        self.live().await;
    }

    /// Asks something of the world: `effect` is done once, or not at all, now or later, and the answer comes or not.
    pub(crate) async fn call<T, E>(
        &self,
        what: String,
        away: impl Fn() -> E + Send,
        effect: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        self.live().await;
        self.pause().await;
        let fate = self.fate();
        match fate {
            Fate::Well => self.world.note(format!("{} {what}", self.name)),
            fate => self.world.note(format!("{} {what} {fate:?}", self.name)),
        }
        match fate {
            Fate::Well => {
                let answer = effect();
                self.pause().await;
                answer
            }
            Fate::Fails => Err(away()),
            Fate::AnswerLost => {
                drop(effect());
                self.pause().await;
                Err(away())
            }
            Fate::DoneLate => {
                self.later(what, effect);
                Err(away())
            }
            Fate::DiesBefore => self.die().await,
            Fate::DiesAfter => {
                drop(effect());
                self.die().await
            }
            Fate::DiesDoneLate => {
                self.later(what, effect);
                self.die().await
            }
        }
    }

    async fn die<T>(&self) -> T {
        self.kill(9);
        std::future::pending().await
    }

    fn later<T>(&self, what: String, effect: impl FnOnce() -> T + Send + 'static) {
        let (world, name) = (Arc::clone(&self.world), self.name.clone());
        let delay = world.millis(1, 30_000);
        world.count("late_effects");
        world.under_way.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            world.note(format!("{name} {what} is done now"));
            drop(effect());
            world.under_way.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
