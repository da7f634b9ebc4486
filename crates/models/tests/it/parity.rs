//! Every architecture against fixtures that transformers made (`tests/parity/make_fixtures.py`).
//!
//! `SIGHTLINE_TEST_PARITY` names another folder of fixtures, to try configurations that are not committed. The report
//! goes to `target/parity.json`.

use safetensors::SafeTensors;
use serde_json::{Value, json};
use sightline_core::ModelName;
use sightline_core::digest::sha256_hex;
use sightline_core::vector::cosine;
use sightline_model_folder::{DigestCache, ModelFolder};
use sightline_models::{DeviceChoice, LoadOptions, LoadedModel, Precision, TextRole, load};
use sightline_pictures::{DecodeLimits, PreparedPicture, picture};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MIN_COSINE_F32: f64 = 0.999_99;
const MIN_COSINE_BF16: f64 = 0.999;
/// Largest difference of a value, as a share of its vector's largest: a cosine cannot tell gelu from its approximation.
const MAX_REL_DIFF_F32: f64 = 1e-4;
/// Share of pixels' values that may be further off than one step of 255.
const MAX_PIXELS_OFF: f64 = 0.001;
/// A batch against its items one by one.
const MIN_COSINE_BATCH: f64 = 0.999_999;

/// The worst over all cases of an architecture.
struct Worst {
    cosine_f32: f64,
    cosine_bf16: f64,
    rel_diff_f32: f64,
    pixels_off: u64,
    pixels: u64,
    cosine_batch: f64,
    cases: u64,
}

impl Worst {
    fn new() -> Self {
        Self {
            cosine_f32: 1.0,
            cosine_bf16: 1.0,
            rel_diff_f32: 0.0,
            pixels_off: 0,
            pixels: 0,
            cosine_batch: 1.0,
            cases: 0,
        }
    }

    fn share_of_pixels_off(&self) -> f64 {
        if self.pixels == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        {
            self.pixels_off as f64 / self.pixels as f64
        }
    }

    fn report(&self) -> Value {
        json!({
            "cases": self.cases,
            "min_cosine_f32": self.cosine_f32,
            "min_cosine_bf16": self.cosine_bf16,
            "min_cosine_batch": self.cosine_batch,
            "max_rel_diff_f32": self.rel_diff_f32,
            "share_of_pixels_off": self.share_of_pixels_off(),
        })
    }

    fn broken(&self) -> Vec<String> {
        let bounds = [
            (
                self.cosine_f32 < MIN_COSINE_F32,
                format!("cosine in f32 {}", self.cosine_f32),
            ),
            (
                self.cosine_bf16 < MIN_COSINE_BF16,
                format!("cosine in bf16 {}", self.cosine_bf16),
            ),
            (
                self.cosine_batch < MIN_COSINE_BATCH,
                format!("cosine in a batch {}", self.cosine_batch),
            ),
            (
                self.rel_diff_f32 > MAX_REL_DIFF_F32,
                format!("difference in f32 {}", self.rel_diff_f32),
            ),
            (
                self.share_of_pixels_off() > MAX_PIXELS_OFF,
                format!("pixels off {}", self.share_of_pixels_off()),
            ),
        ];
        bounds
            .into_iter()
            .filter(|(broken, _)| *broken)
            .map(|(_, what)| what)
            .collect()
    }
}

struct Inputs {
    pictures: Vec<PathBuf>,
    texts: Vec<(String, TextRole)>,
}

struct Expected(Vec<u8>);

impl Expected {
    /// The rows of a tensor, whatever its shape behind the first dimension; none where it is not there.
    fn rows(&self, name: &str) -> Vec<Vec<f32>> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let Ok(tensor) = tensors.tensor(name) else {
            return Vec::new();
        };
        let values: Vec<f32> = tensor
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect();
        values
            .chunks_exact(values.len() / tensor.shape()[0])
            .map(<[f32]>::to_vec)
            .collect()
    }
}

fn fixtures() -> PathBuf {
    match std::env::var_os("SIGHTLINE_TEST_PARITY") {
        Some(folder) => folder.into(),
        None => fixtures_committed(),
    }
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}

fn inputs(case: &Path) -> Inputs {
    let value: Value = serde_json::from_slice(&fs::read(case.join("inputs.json")).unwrap()).unwrap();
    let pictures = fixtures().join("pictures");
    let name = |value: &Value| pictures.join(value.as_str().unwrap());
    let text = |value: &Value| {
        let role = match value["role"].as_str() {
            Some("query") => TextRole::Query,
            _ => TextRole::Document,
        };
        (value["text"].as_str().unwrap().to_owned(), role)
    };
    Inputs {
        pictures: value["pictures"].as_array().unwrap().iter().map(name).collect(),
        texts: value["texts"].as_array().unwrap().iter().map(text).collect(),
    }
}

fn open(case: &Path, precision: Precision, threads: u16) -> LoadedModel {
    let name = ModelName::new("parity").unwrap();
    let folder = ModelFolder::open_as(&case.join("model"), name, &DigestCache::new());
    let folder = folder.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
    let options = LoadOptions {
        device: DeviceChoice::Cpu,
        precision,
        threads: Some(threads),
        trusted_torchscript: fs::read(case.join("model/model.pt"))
            .iter()
            .map(|code| sha256_hex(code))
            .collect(),
    };
    load(folder, &options).unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

fn raw_texts(model: &LoadedModel, texts: &[(String, TextRole)]) -> Vec<Vec<f32>> {
    let mut vectors = vec![Vec::new(); texts.len()];
    for role in [TextRole::Document, TextRole::Query] {
        let (places, some): (Vec<usize>, Vec<String>) = texts
            .iter()
            .enumerate()
            .filter(|(_, text)| text.1 == role)
            .map(|(place, text)| (place, text.0.clone()))
            .unzip();
        if some.is_empty() {
            continue;
        }
        for (place, vector) in places.into_iter().zip(model.raw_texts(&some, role).unwrap()) {
            vectors[place] = vector;
        }
    }
    vectors
}

fn least_cosine(ours: &[Vec<f32>], expected: &[Vec<f32>], what: &str) -> f64 {
    assert_eq!(ours.len(), expected.len(), "{what}");
    let mut least = 1.0_f64;
    for (number, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        assert_eq!(ours.len(), expected.len(), "{what} {number}");
        let cosine = cosine(ours, expected);
        if cosine
            < if what.ends_with("bf16") {
                MIN_COSINE_BF16
            } else {
                MIN_COSINE_F32
            }
        {
            eprintln!("{what} {number}: cosine {cosine}");
        }
        least = least.min(cosine);
    }
    least
}

fn largest_difference(ours: &[Vec<f32>], expected: &[Vec<f32>]) -> f64 {
    let of = |ours: &Vec<f32>, expected: &Vec<f32>| {
        let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let difference = ours
            .iter()
            .zip(expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        f64::from(difference / largest)
    };
    ours.iter()
        .zip(expected)
        .map(|(ours, expected)| of(ours, expected))
        .fold(0.0, f64::max)
}

fn check(case: &Path, worst: &mut Worst) {
    let what = case.display().to_string();
    let (inputs, expected) = (
        inputs(case),
        Expected(fs::read(case.join("expected.safetensors")).unwrap()),
    );
    let (exact, coarse) = (open(case, Precision::F32, 1), open(case, Precision::Bf16, 1));
    worst.cases += 1;
    let pictures = pictures(&exact, &inputs, &expected, worst);
    for (name, ours, half, single) in [
        (
            "images",
            exact_images(&exact, &pictures),
            exact_images(&coarse, &pictures),
            pictures
                .iter()
                .flat_map(|one| exact_images(&exact, std::slice::from_ref(one)))
                .collect::<Vec<_>>(),
        ),
        (
            "texts",
            raw_texts(&exact, &inputs.texts),
            raw_texts(&coarse, &inputs.texts),
            inputs
                .texts
                .iter()
                .flat_map(|one| raw_texts(&exact, std::slice::from_ref(one)))
                .collect(),
        ),
    ] {
        let expected = expected.rows(name);
        worst.cosine_f32 = worst
            .cosine_f32
            .min(least_cosine(&ours, &expected, &format!("{what} {name} f32")));
        worst.cosine_bf16 = worst
            .cosine_bf16
            .min(least_cosine(&half, &expected, &format!("{what} {name} bf16")));
        worst.cosine_batch = worst
            .cosine_batch
            .min(least_cosine(&ours, &single, &format!("{what} {name} batch")));
        worst.rel_diff_f32 = worst.rel_diff_f32.max(largest_difference(&ours, &expected));
    }
}

fn exact_images(model: &LoadedModel, pictures: &[PreparedPicture]) -> Vec<Vec<f32>> {
    if pictures.is_empty() {
        return Vec::new();
    }
    model.raw_images(pictures).unwrap()
}

/// Prepares the pictures, and counts the values that are off.
fn pictures(model: &LoadedModel, inputs: &Inputs, expected: &Expected, worst: &mut Worst) -> Vec<PreparedPicture> {
    let Some(preprocessor) = model.preprocessor().filter(|_| !inputs.pictures.is_empty()) else {
        return Vec::new();
    };
    // One step of 255, in units of the network's input.
    let step = 1.0
        / 255.0
        / model
            .folder
            .image
            .as_ref()
            .unwrap()
            .preprocessing
            .std
            .into_iter()
            .fold(0.0, f64::max);
    let mut prepared = Vec::new();
    for (path, expected) in inputs.pictures.iter().zip(expected.rows("pixels")) {
        let decoded = picture::decode(&fs::read(path).unwrap(), &DecodeLimits::default());
        let picture = preprocessor.prepare(&decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        let mut values = vec![0.0; preprocessor.values()];
        preprocessor.write(&picture, &mut values).unwrap();
        assert_eq!(values.len(), expected.len(), "{}", path.display());
        let far = |(ours, expected): (&f32, &f32)| f64::from((ours - expected).abs()) > step * 1.001;
        let off = values.iter().zip(&expected).filter(|pair| far(*pair)).count() as u64;
        if off > 0 {
            eprintln!("{}: {off} of {} values are off", path.display(), values.len());
        }
        worst.pixels_off += off;
        worst.pixels += values.len() as u64;
        prepared.push(picture);
    }
    prepared
}

#[test]
fn every_architecture_gives_the_vectors_that_transformers_gives() {
    let mut report = BTreeMap::new();
    let mut broken = Vec::new();
    for architecture in subfolders(&fixtures()) {
        let name = architecture.file_name().unwrap().to_string_lossy().into_owned();
        if name == "pictures" {
            continue;
        }
        let mut worst = Worst::new();
        for case in subfolders(&architecture) {
            check(&case, &mut worst);
        }
        broken.extend(worst.broken().into_iter().map(|what| format!("{name}: {what}")));
        report.insert(name, worst.report());
    }
    assert!(report.len() >= 11, "fixtures are missing: {:?}", report.keys());
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    fs::create_dir_all(&target).unwrap();
    fs::write(target.join("parity.json"), format!("{:#}\n", json!(report))).unwrap();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn pictures_that_threads_share_out_have_the_vectors_that_each_has_alone() {
    for architecture in ["clip", "dinov2_with_registers", "siglip", "vit"] {
        let case = fixtures_committed().join(architecture).join("0");
        let expected = Expected(fs::read(case.join("expected.safetensors")).unwrap());
        let (alone, shared) = (open(&case, Precision::F32, 1), open(&case, Precision::F32, 3));
        let pictures = pictures(&alone, &inputs(&case), &expected, &mut Worst::new());
        assert!(pictures.len() > 1, "{architecture}");
        // More than a few for each thread, and not as many for one as for another.
        let many: Vec<PreparedPicture> = pictures.iter().cycle().take(25).cloned().collect();
        let each = many
            .iter()
            .flat_map(|one| exact_images(&alone, std::slice::from_ref(one)));
        let least = least_cosine(&exact_images(&shared, &many), &each.collect::<Vec<_>>(), architecture);
        assert!(least >= MIN_COSINE_BATCH, "{architecture}: {least}");
    }
}

#[test]
fn a_torchscript_module_runs_only_when_its_digest_is_on_the_list() {
    let case = fixtures_committed().join("torchscript/2/model");
    let folder = || ModelFolder::open_as(&case, ModelName::new("script").unwrap(), &DigestCache::new()).unwrap();
    let digest = sha256_hex(&fs::read(case.join("model.pt")).unwrap());
    let with = |trusted: &str| LoadOptions {
        device: DeviceChoice::Cpu,
        trusted_torchscript: vec![trusted.to_owned()],
        ..LoadOptions::default()
    };
    let error = load(folder(), &LoadOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains(&digest) && error.contains("trusted_torchscript"),
        "{error}"
    );
    assert!(load(folder(), &with(&"0".repeat(64))).is_err());
    load(folder(), &with(&digest.to_uppercase())).unwrap();
}

#[test]
fn a_model_toml_that_the_module_does_not_keep_is_told_and_a_wrong_key_is_named() {
    let from = fixtures_committed().join("torchscript/0/model");
    let damages = [
        ("dimension = ", "dimension = 1", "was expected"),
        ("file = \"model.pt\"", "file = \"other.pt\"", "other.pt"),
        ("version = 1", "version = 9", "version"),
        ("[image]", "[image]\noutput = 3", "is no tensor"),
        ("[image]", "[image]\nmethot = \"x\"", "methot"),
        ("file = \"model.pt\"", "file = \"../model.pt\"", "leads out"),
    ];
    for (from_words, to_words, told) in damages {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let toml = fs::read_to_string(from.join("model.toml")).unwrap();
        fs::write(folder.path().join("model.toml"), toml.replacen(from_words, to_words, 1)).unwrap();
        let tried = || -> Result<(), String> {
            let name = ModelName::new("script").unwrap();
            let opened =
                ModelFolder::open_as(folder.path(), name, &DigestCache::new()).map_err(|error| error.to_string())?;
            let options = LoadOptions {
                device: DeviceChoice::Cpu,
                trusted_torchscript: vec![sha256_hex(&fs::read(from.join("model.pt")).unwrap())],
                ..LoadOptions::default()
            };
            let model = load(opened, &options).map_err(|error| error.to_string())?;
            let rgb = vec![7; 32 * 32 * 3];
            let picture = sightline_pictures::Picture::new(32, 32, rgb).unwrap();
            let prepared = model.preprocessor().unwrap().prepare(&picture);
            model
                .raw_images(&[prepared])
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let error = tried().unwrap_err();
        assert!(error.contains(told), "{told}: {error}");
    }
}

fn fixtures_committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/fixtures")
}
