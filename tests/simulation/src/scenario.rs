//! One simulation from its seed to its end: pictures, machines, a client, a storm, and then calm.

use crate::bugs::Bug;
use crate::checks;
use crate::machines::{ROOT, Role, Site, keep};
use crate::model::{DAMAGED, DEADLY, name as model_name};
use crate::world::{Shown, World};
use bytes::Bytes;
use sightline_core::RunId;
use sightline_proto::v1;
use sightline_proto::v1::coordinator_server::Coordinator as Api;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, Request, Status};

/// Calls of a client end at this.
const CALL_LIMIT: Duration = Duration::from_secs(60);
/// Once nothing goes wrong any more, a run ends within this, and the last message is answered.
const CALM_LIMIT: Duration = Duration::from_secs(3600);

/// What one simulation is about.
pub(crate) struct Scenario {
    pub(crate) site: Arc<Site>,
    pub(crate) run: RunId,
    /// Keys of objects that were there from before the run to its end as they were.
    pub(crate) untouched: BTreeSet<String>,
    pub(crate) cancelled: bool,
}

/// Simulates a seed.
pub(crate) fn simulate(seed: u64, bug: Option<Bug>, keep_lines: bool) -> Shown {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let shown = runtime.block_on(async {
        let world = World::new(seed, bug, keep_lines);
        live(&world).await;
        world.shown()
    });
    // Tasks of dead processes wait for ever: they go with the runtime.
    drop(runtime);
    shown
}

async fn live(world: &Arc<World>) {
    let site = Site::new(world);
    let keys = fill(&site);
    let coordinators = 1 + world.below(3);
    let workers = 1 + world.below(3);
    let mut machines = Vec::new();
    for number in 0..coordinators + workers {
        let role = if number < coordinators {
            Role::Coordinator
        } else {
            Role::Worker
        };
        let number = usize::try_from(number).unwrap();
        machines.push(AbortOnDropHandle::new(tokio::spawn(keep(
            Arc::clone(&site),
            role,
            number,
        ))));
    }
    let touched = Arc::new(Mutex::new(BTreeSet::new()));
    let changing = AbortOnDropHandle::new(tokio::spawn(change(
        Arc::clone(&site),
        keys.clone(),
        Arc::clone(&touched),
    )));
    let calming = {
        let (world, storm) = (Arc::clone(world), world.millis(2_000, 60_000));
        AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(storm).await;
            world.calm_down();
        }))
    };
    let run = RunId::of_request("anonymous", "simulated");
    let client = Client {
        site: Arc::clone(&site),
        name: format!("runs/{run}"),
    };
    let asked = client.ask(world.chance(0.1)).await;
    drop((changing, calming));
    if let Asked::Ended { cancelled } = asked
        && client.silence().await
    {
        drop(machines);
        let touched = touched.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let scenario = Scenario {
            site,
            run,
            untouched: keys.into_iter().filter(|key| !touched.contains(key)).collect(),
            cancelled,
        };
        checks::check(&scenario).await;
    }
}

fn picture(world: &World, key: &str) -> Vec<u8> {
    let number = world.number();
    match world.below(40) {
        0 => Vec::new(),
        1 | 2 => [DAMAGED, key.as_bytes(), &number.to_le_bytes()].concat(),
        3 if world.counted("deadly_pictures") < 2 => {
            world.count("deadly_pictures");
            [DEADLY, key.as_bytes(), &number.to_le_bytes()].concat()
        }
        // Some pictures are there twice.
        4 => b"a picture that many have".to_vec(),
        _ => [key.as_bytes(), &number.to_le_bytes()].concat(),
    }
}

fn new_key(world: &World) -> String {
    let folder = ["", "a/", "b/", "b/c/"][usize::try_from(world.below(4)).unwrap()];
    let kind = if world.chance(0.07) { "txt" } else { "png" };
    format!("{folder}{:04}.{kind}", world.below(10_000))
}

fn fill(site: &Site) -> BTreeSet<String> {
    let world = &site.world;
    let keys: BTreeSet<String> = (0..world.below(60)).map(|_| new_key(world)).collect();
    for key in &keys {
        site.pictures.put(key, Bytes::from(picture(world, key)));
    }
    keys
}

/// Changes, deletes and adds objects while they are listed and read.
async fn change(site: Arc<Site>, keys: BTreeSet<String>, touched: Arc<Mutex<BTreeSet<String>>>) {
    let world = &site.world;
    let keys: Vec<String> = keys.into_iter().collect();
    let changes = [0, 0, 3, 12][usize::try_from(world.below(4)).unwrap()];
    for _ in 0..changes {
        tokio::time::sleep(world.millis(1, 5_000)).await;
        if world.is_calm() {
            return;
        }
        let old = keys.get(usize::try_from(world.below(keys.len() as u64)).unwrap());
        let (key, deleted) = match (world.below(3), old) {
            (0, Some(key)) => (key.clone(), true),
            (1, Some(key)) => (key.clone(), false),
            _ => (new_key(world), false),
        };
        world.count("changes");
        touched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key.clone());
        if deleted {
            world.note(format!("{key} is deleted"));
            site.pictures.delete(&key);
        } else {
            world.note(format!("{key} is written"));
            site.pictures.put(&key, Bytes::from(picture(world, &key)));
        }
    }
}

enum Asked {
    Ended {
        cancelled: bool,
    },
    /// It did not end, which is a violation that was told.
    Never,
}

struct Client {
    site: Arc<Site>,
    name: String,
}

impl Client {
    /// Calls a coordinator, whichever runs, until one answers.
    async fn until<T>(
        &self,
        what: &str,
        call: impl AsyncFn(sightline_coordinator::CoordinatorService) -> Result<T, Status>,
    ) -> T {
        let world = &self.site.world;
        loop {
            if let Some(api) = self.site.some_api() {
                match tokio::time::timeout(CALL_LIMIT, call(api)).await {
                    Ok(Ok(answer)) => {
                        world.note(format!("client: {what} answered"));
                        return answer;
                    }
                    Ok(Err(status)) if status.code() == Code::Unavailable => {}
                    Ok(Err(status)) => world.violation(format!("{what} was refused: {status}")),
                    Err(_) => {}
                }
            }
            tokio::time::sleep(world.millis(100, 2_000)).await;
        }
    }

    async fn create(&self) {
        let spec = v1::RunSpec {
            kind: v1::JobKind::Embed.into(),
            dataset: Some(v1::Dataset {
                name: "pictures".into(),
                root: ROOT.into(),
                source: Some(v1::dataset::Source::Prefix(v1::PrefixSource {})),
                dicom: None,
            }),
            collection: "collections/pictures".into(),
            model: model_name().to_string(),
            shard_items: 1 + i32::try_from(self.site.world.seed % 6).unwrap(),
            ..v1::RunSpec::default()
        };
        let create = async |api: sightline_coordinator::CoordinatorService| {
            let request = v1::CreateRunRequest {
                spec: Some(spec.clone()),
                request_id: "simulated".into(),
                validate_only: false,
            };
            api.create_run(Request::new(request)).await
        };
        self.until("CreateRun", create).await;
    }

    async fn get(&self) -> v1::Run {
        let get = async |api: sightline_coordinator::CoordinatorService| {
            let name = self.name.clone();
            api.get_run(Request::new(v1::GetRunRequest { name })).await
        };
        self.until("GetRun", get).await.into_inner()
    }

    /// Asks for a run and looks at it until it ended.
    async fn ask(&self, cancels: bool) -> Asked {
        let world = &self.site.world;
        self.create().await;
        let loses_broker = world.chance(0.1);
        let acts_after = world.elapsed() + world.millis(1, 8_000);
        let mut acted = false;
        let mut calm_since = None;
        loop {
            tokio::time::sleep(world.millis(200, 2_000)).await;
            if !acted && world.elapsed() > acts_after {
                acted = true;
                self.act(cancels, loses_broker).await;
            }
            let run = self.get().await;
            if run.end_time.is_some() {
                return Asked::Ended {
                    cancelled: run.state() == v1::run::State::Cancelled,
                };
            }
            if world.is_calm() {
                let since = *calm_since.get_or_insert(world.elapsed());
                if world.elapsed() - since > CALM_LIMIT {
                    let id = RunId::new(self.name.trim_start_matches("runs/")).unwrap();
                    let forgotten = self.site.monitor.forgotten(&self.site.broker, &id);
                    let why = run.state_message;
                    world.violation(format!("the run does not end: {why:?}, {forgotten:?}"));
                    return Asked::Never;
                }
            }
        }
    }

    /// What a person does beside looking.
    async fn act(&self, cancels: bool, loses_broker: bool) {
        let world = &self.site.world;
        if world.chance(0.2) {
            world.count("repeated_requests");
            self.create().await;
        }
        if cancels {
            world.count("cancels");
            let cancel = async |api: sightline_coordinator::CoordinatorService| {
                let name = self.name.clone();
                api.cancel_run(Request::new(v1::CancelRunRequest { name })).await
            };
            self.until("CancelRun", cancel).await;
        }
        if loses_broker && !world.is_calm() {
            world.count("lost_brokers");
            world.note("the broker loses everything");
            self.site.monitor.broker_is_lost(true);
            self.site.broker.wipe();
            let resume = async |api: sightline_coordinator::CoordinatorService| {
                let name = self.name.clone();
                api.resume_run(Request::new(v1::ResumeRunRequest { name })).await
            };
            self.until("ResumeRun", resume).await;
            self.site.monitor.broker_is_lost(false);
        }
    }

    /// Waits until nothing is on its way any more.
    async fn silence(&self) -> bool {
        let world = &self.site.world;
        if !world.is_calm() {
            world.calm_down();
        }
        let since = world.elapsed();
        loop {
            let (left, dead) = self.site.broker.left();
            if dead > 0 {
                world.violation(format!("{dead} messages are dead letters"));
                return false;
            }
            if left == 0 && world.under_way.load(Ordering::Relaxed) == 0 {
                return true;
            }
            if world.elapsed() - since > CALM_LIMIT {
                world.violation(format!("{left} messages are never acked"));
                return false;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
