use super::*;
use crate::encoder::{ImageBatch, ImageEncoder, LoadOptions, Started, TextEncoder, load};
use crate::image_input::ImageInput;
use crate::precision::Precision;
use crate::testing::TinyModel;
use sightline_core::CollectionName;
use sightline_core::IndexKind;
use std::sync::Mutex;
use std::sync::mpsc as sync;

/// Says what it was asked, and does what the text says.
#[derive(Debug)]
struct Scripted {
    seen: sync::Sender<Vec<String>>,
    go: Mutex<sync::Receiver<()>>,
}

impl TextEncoder for Scripted {
    fn encode(&self, texts: &[String], _role: TextRole) -> Result<Vec<Vec<f32>>, ModelError> {
        self.seen.send(texts.to_vec()).unwrap();
        match texts[0].as_str() {
            "panic" => panic!("the network tripped"),
            "error" => Err(ModelError::Tokenize("no such word".to_owned())),
            "wait" => {
                self.go.lock().unwrap().recv().unwrap();
                Ok(vec![vec![1.0]])
            }
            _ => Ok(texts.iter().map(|_| vec![1.0]).collect()),
        }
    }

    fn dimension(&self) -> usize {
        1
    }
}

struct Script {
    runner: ModelRunner,
    seen: sync::Receiver<Vec<String>>,
    go: sync::Sender<()>,
}

async fn scripted() -> Script {
    let (report, seen) = sync::channel();
    let (go, wait) = sync::channel();
    let folder = TinyModel::new().open().unwrap();
    let runner = ModelRunner::start(1, move || {
        let text = Scripted {
            seen: report,
            go: Mutex::new(wait),
        };
        Ok(LoadedModel::new(
            folder,
            "cpu".to_owned(),
            Precision::F32,
            None,
            Some(Box::new(text)),
        ))
    });
    Script {
        runner: runner.await.unwrap(),
        seen,
        go,
    }
}

fn texts(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

#[tokio::test]
async fn a_real_model_answers_from_its_thread() {
    let tiny = TinyModel::new();
    let folder = tiny.open().unwrap();
    let runner = ModelRunner::start(2, move || load(folder, &LoadOptions::default()))
        .await
        .unwrap();
    let info = runner.info().clone();
    assert_eq!(
        (info.model.as_str(), info.precision.as_str(), info.spaces.len()),
        ("tiny", "f32", 2)
    );
    let picture = sightline_pictures::Picture::new(2, 2, vec![9; 12]).unwrap();
    let prepared = info.preprocessor.unwrap().prepare(&picture);
    let (images, answers) = tokio::join!(
        runner.encode_images(vec![prepared; 3]),
        runner.encode_texts(texts("a tree"), TextRole::Document)
    );
    assert_eq!(images.unwrap().len(), 3);
    assert_eq!(answers.unwrap()[0].as_ref().unwrap().len(), 8);
    let description = CollectionDescription {
        name: CollectionName::new("c").unwrap(),
        fields: BTreeMap::new(),
        index: IndexKind::Flat,
    };
    runner.check(&description).await.unwrap();
    assert_eq!(runner.canaries().await.unwrap().len(), 2);
    assert_eq!(*runner.health().borrow(), Health::Serving);
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_is_an_error_of_the_start() {
    let mut tiny = TinyModel::new();
    tiny.text.clear();
    tiny.write_weights();
    let folder = tiny.open().unwrap();
    let error = ModelRunner::start(1, move || load(folder, &LoadOptions::default()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RunnerError::Model(ModelError::MissingTensor { .. })),
        "{error:?}"
    );
    let error = ModelRunner::start(1, || panic!("no such file")).await.unwrap_err();
    assert!(
        matches!(&error, RunnerError::Stopped(reason) if reason.contains("no such file")),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_error_of_one_batch_leaves_the_next_alone() {
    let script = scripted().await;
    let error = script
        .runner
        .encode_texts(texts("error"), TextRole::Document)
        .await
        .unwrap_err();
    assert!(matches!(error, RunnerError::Model(_)), "{error:?}");
    assert_eq!(
        script
            .runner
            .encode_texts(texts("fine"), TextRole::Document)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(*script.runner.health().borrow(), Health::Serving);
}

#[tokio::test]
async fn a_panic_is_an_error_and_no_later_batch_hangs() {
    let script = scripted().await;
    let mut health = script.runner.health();
    for text in ["panic", "fine", "fine"] {
        let error = script
            .runner
            .encode_texts(texts(text), TextRole::Document)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, RunnerError::Stopped(reason) if reason.contains("the network tripped")),
            "{error:?}"
        );
    }
    let stopped = health
        .wait_for(|health| *health != Health::Serving)
        .await
        .unwrap()
        .clone();
    assert!(matches!(stopped, Health::Stopped(reason) if reason.contains("the network tripped")));
}

#[tokio::test]
async fn a_batch_whose_sender_is_gone_is_left_out() {
    let Script { runner, seen, go } = scripted().await;
    let runner = Arc::new(runner);
    let send = |text: &'static str| {
        let runner = Arc::clone(&runner);
        tokio::spawn(async move { runner.encode_texts(texts(text), TextRole::Document).await })
    };
    let first = send("wait");
    tokio::task::spawn_blocking(move || {
        assert_eq!(seen.recv().unwrap(), ["wait"]);
        seen
    })
    .await
    .map(|seen| async move {
        let given_up = send("given up");
        tokio::task::yield_now().await;
        given_up.abort();
        assert!(given_up.await.unwrap_err().is_cancelled());
        let last = send("last");
        go.send(()).unwrap();
        first.await.unwrap().unwrap();
        last.await.unwrap().unwrap();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), [["last"]]);
    })
    .unwrap()
    .await;
}

#[tokio::test]
async fn dropping_the_runner_waits_for_the_batch_at_hand() {
    let Script { runner, seen, go } = scripted().await;
    let handle = {
        let commands = runner.commands.clone().unwrap();
        let (reply, answer) = oneshot::channel();
        commands
            .send(Command::Texts(texts("wait"), TextRole::Document, reply))
            .await
            .unwrap();
        answer
    };
    let seen = tokio::task::spawn_blocking(move || {
        seen.recv().unwrap();
        seen
    })
    .await
    .unwrap();
    go.send(()).unwrap();
    tokio::task::spawn_blocking(move || drop(runner)).await.unwrap();
    assert_eq!(handle.await.unwrap().unwrap().len(), 1);
    // The thread is gone, and with it the encoder's end of the channel.
    assert!(matches!(seen.try_recv(), Err(sync::TryRecvError::Disconnected)));
}

/// Says when a batch of so many pictures is prepared, begun and waited for.
struct Aside {
    input: ImageInput,
    seen: sync::Sender<(&'static str, usize)>,
    go: Mutex<sync::Receiver<()>>,
}

impl std::fmt::Debug for Aside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Aside")
    }
}

impl ImageEncoder for Aside {
    fn prepare(&self, pictures: &[PreparedPicture]) -> Result<ImageBatch, ModelError> {
        self.seen.send(("prepared", pictures.len())).unwrap();
        self.go.lock().unwrap().recv().unwrap();
        if pictures.len() == 3 {
            return Err(ModelError::Tokenize("three are refused".to_owned()));
        }
        ImageBatch::new(&self.input, pictures, 32)
    }

    fn start(&self, batch: ImageBatch) -> Result<Started, ModelError> {
        let (seen, count) = (self.seen.clone(), batch.len());
        seen.send(("begun", count)).unwrap();
        Ok(Started::new(move || {
            seen.send(("waited for", count)).unwrap();
            Ok(vec![vec![1.0]; count])
        }))
    }

    fn dimension(&self) -> usize {
        1
    }
}

async fn order_on(device: &str, batches: [usize; 3]) -> Vec<(&'static str, usize)> {
    let folder = TinyModel::new().open().unwrap();
    let preprocessing = folder.image.as_ref().unwrap().preprocessing.clone();
    let picture =
        Preprocessor::new(&preprocessing).prepare(&sightline_pictures::Picture::new(8, 8, vec![9; 8 * 8 * 3]).unwrap());
    let ((report, seen), (go, begun)) = (sync::channel(), sync::channel());
    let device = device.to_owned();
    let runner = ModelRunner::start(3, move || {
        let image = Aside {
            input: ImageInput::new(&preprocessing, tch::Device::Cpu, tch::Kind::Float)?,
            seen: report,
            go: Mutex::new(begun),
        };
        Ok(LoadedModel::new(
            folder,
            device,
            Precision::F32,
            Some(Box::new(image)),
            None,
        ))
    });
    let runner = runner.await.unwrap();
    let asked = batches.map(|count| Box::pin(runner.encode_images(vec![picture.clone(); count])));
    let mut asked = futures::future::join_all(asked);
    // All are sent before the first is begun.
    assert!(futures::poll!(&mut asked).is_pending());
    for _ in batches {
        go.send(()).unwrap();
    }
    for (answer, count) in asked.await.into_iter().zip(batches) {
        assert_eq!(answer.is_err(), count == 3);
        assert_eq!(answer.map_or(count, |vectors| vectors.len()), count);
    }
    drop(runner);
    seen.iter().collect()
}

#[tokio::test]
async fn while_a_device_of_its_own_computes_a_batch_the_next_is_prepared() {
    let order = order_on("cuda:0", [1, 2, 4]).await;
    let expected = [
        ("prepared", 1),
        ("begun", 1),
        ("prepared", 2),
        ("waited for", 1),
        ("begun", 2),
        ("prepared", 4),
        ("waited for", 2),
        ("begun", 4),
        ("waited for", 4),
    ];
    assert_eq!(order, expected);
    let refused = order_on("cuda:0", [1, 3, 4]).await;
    let expected = [
        ("prepared", 1),
        ("begun", 1),
        ("prepared", 3),
        ("waited for", 1),
        ("prepared", 4),
        ("begun", 4),
        ("waited for", 4),
    ];
    assert_eq!(
        refused, expected,
        "a batch that is refused takes nothing from the others"
    );
}

#[tokio::test]
async fn a_batch_on_the_processor_is_answered_before_the_next_is_prepared() {
    let order = order_on("cpu", [1, 2, 4]).await;
    let expected = [1, 2, 4].map(|count| [("prepared", count), ("begun", count), ("waited for", count)]);
    assert_eq!(order, expected.concat());
}
