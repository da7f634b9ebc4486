//! Damaged models through the commands that run them: each is refused with the thing, the reason and what to do, before any
//! picture is read.

use crate::embed::{fixture, text};
use crate::pictures::dataset;
use crate::program::{Ran, Server, run};
use rustix::fd::OwnedFd;
use rustix::fs::inotify;
use rustix::io::Errno;
use serde_json::Value;
use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

/// Sees which files of a folder are opened.
struct Watch(OwnedFd);

impl Watch {
    fn new(folder: &Path) -> Self {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&events, folder, inotify::WatchFlags::OPEN).unwrap();
        Self(events)
    }

    /// The files that were opened since this was asked last.
    fn opened(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut names = Vec::new();
        loop {
            match reader.next() {
                // The folder itself has no name here.
                Ok(event) => names.extend(event.file_name().map(|name| name.to_str().unwrap().to_owned())),
                Err(Errno::AGAIN) => return names,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// A damage of a fixture's folder, and what has to be told: the thing, the reason, what to do.
struct Damage {
    of: &'static str,
    done: fn(&Path),
    told: [&'static str; 3],
}

const DAMAGES: [Damage; 10] = [
    Damage {
        of: "vit/1",
        done: |model| change_weights(model, |bytes| bytes.truncate(bytes.len() / 2)),
        told: [
            "model.safetensors",
            "no whole safetensors file",
            "copy the model's weights again",
        ],
    },
    Damage {
        of: "vit/1",
        done: |model| change_config(model, "num_hidden_layers", 9.into()),
        told: [
            "`encoder.layer.",
            "has no tensor",
            "copy config.json and the weights from the same model",
        ],
    },
    Damage {
        of: "vit/1",
        done: |model| change_config(model, "intermediate_size", 999.into()),
        told: [
            "intermediate.dense",
            "has the shape",
            "copy config.json and the weights from the same model",
        ],
    },
    Damage {
        of: "clip/0",
        done: |model| fs::remove_file(model.join("tokenizer.json")).unwrap(),
        told: [
            "no tokenizer.json",
            "texts cannot be cut into the model's tokens",
            "copy it from the model's page",
        ],
    },
    Damage {
        of: "vit/1",
        done: |model| {
            change_weights(model, |bytes| {
                let end = bytes.len() - 4;
                bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
            });
        },
        told: ["tensor `", "holds NaN or infinity", "copy them again"],
    },
    Damage {
        of: "vit/1",
        done: |model| change_config(model, "hidden_act", "swiggle".into()),
        told: [
            "`hidden_act`",
            "\"swiggle\", which is not implemented",
            "use a model with one of gelu",
        ],
    },
    Damage {
        of: "vit/1",
        done: |model| fs::rename(model.join("model.safetensors"), model.join("pytorch_model.bin")).unwrap(),
        told: [
            "pytorch_model.bin",
            "not read, since they run code",
            "convert the model's weights to safetensors",
        ],
    },
    Damage {
        of: "vit/1",
        done: |model| change_config(model, "model_type", "swin".into()),
        told: [
            "architecture `swin`",
            "dinov2_with_registers",
            "export it to TorchScript",
        ],
    },
    Damage {
        of: "torchscript/0",
        done: |_| {},
        told: [
            "model.pt",
            "is not on the list of trusted modules",
            "model.trusted_torchscript",
        ],
    },
    Damage {
        of: "vit/1",
        done: |model| fs::remove_file(model.join("preprocessor_config.json")).unwrap(),
        told: ["preprocessor_config.json", "how pictures are prepared", "copy it"],
    },
];

impl Damage {
    /// The damaged folder, in `folder`, always of the same name.
    fn model(&self, folder: &Path) -> PathBuf {
        let model = folder.join("tiny");
        copy(self.of, &model);
        (self.done)(&model);
        model
    }

    fn check(&self, ran: &Ran, code: i32, opened: &[String]) {
        assert_eq!(ran.code, code, "{:?}: {}", self.told, ran.err);
        for words in self.told {
            assert!(ran.err.contains(words), "{words}: {}", ran.err);
        }
        assert!(opened.is_empty(), "{:?}: {opened:?} were read", self.told);
    }
}

fn copy(of: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(fixture(of).join("model")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn change_config(model: &Path, key: &str, value: Value) {
    let path = model.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(path, config.to_string()).unwrap();
}

fn change_weights(model: &Path, change: impl Fn(&mut Vec<u8>)) {
    let path = model.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("the fixture's weights are one file");
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn embed_refuses_a_damaged_model_before_it_reads_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    dataset(folder.path());
    let (pictures, out) = (folder.path().join("pictures"), folder.path().join("v.npy"));
    let watch = Watch::new(&pictures);
    let embed = |model: &Path| {
        run(&[
            "embed",
            "--model",
            text(model),
            "--images",
            text(&pictures),
            "--out",
            text(&out),
        ])
    };
    for damage in DAMAGES {
        let models = tempfile::tempdir().unwrap();
        let ran = embed(&damage.model(models.path()));
        damage.check(&ran, 2, &watch.opened());
        assert!(!out.exists(), "{:?}", damage.told);
    }
    assert_eq!(embed(&fixture("vit/1/model")).code, 3, "one picture is broken");
    assert!(watch.opened().len() >= 31, "a model that is whole reads the pictures");
}

#[test]
fn a_worker_refuses_a_damaged_model_before_it_reads_a_picture_of_a_waiting_run() {
    let (data, folder, models) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    dataset(folder.path());
    let whole = models.path().join("tiny");
    copy("vit/1", &whole);
    let server = Server::start(data.path(), None);
    let root = [
        "ingest",
        "--root",
        text(folder.path()),
        "--dataset",
        "d",
        "--manifest",
        "table.csv",
    ];
    let rest = ["--collection", "c", "--model", text(&whole), "--no-wait"];
    let created = server.run(&[&root[..], &rest].concat());
    assert_eq!(created.code, 0, "{}", created.err);
    assert_eq!(server.end(), 0);

    let watch = Watch::new(&folder.path().join("pictures"));
    for damage in DAMAGES {
        let models = tempfile::tempdir().unwrap();
        let model = damage.model(models.path());
        let place = ["standalone", "--data", text(data.path()), "--listen", "127.0.0.1:0"];
        let ran = run(&[&place[..], &["--model", text(&model)]].concat());
        damage.check(&ran, 1, &watch.opened());
    }
}
