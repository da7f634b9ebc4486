//! What a run takes from DICOM files beside their pixels: tags that become attributes, and which frame counts.
//!
//! Names are the keywords of PS3.6, so that whoever knows DICOM knows them. Tags that name a patient, a person or an
//! institution, or are unique to a study, are [`TagGroup::Identifying`]: no group of words brings them, each is asked for
//! by its own keyword.

use serde::{Deserialize, Serialize};

/// What a tag's value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagValue {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A whole number of two bytes.
    Short,
    /// A whole number, written as text.
    Whole,
    /// A number, written as text.
    Number,
    /// A list of numbers, written as text.
    Numbers,
    /// A date, which becomes `YYYY-MM-DD`: such texts sort as their days do.
    Date,
    /// An age, which becomes a number of years: `061Y` is 61, `006M` 0.5.
    Age,
}

/// Which tags are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagGroup {
    /// What the picture is, and what made it.
    Technical,
    /// What it shows of whom and when, without a name: what PS3.15's basic profile would remove, and research keeps.
    Clinical,
    /// Who it is, or a number that leads there.
    Identifying,
}

/// A tag that can become an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DicomTag {
    /// `0xGGGGEEEE`: group and element.
    pub number: u32,
    /// Its keyword, which is the attribute's name.
    pub keyword: &'static str,
    /// What its value becomes.
    pub value: TagValue,
    /// What it is taken with.
    pub group: TagGroup,
}

const fn tag(number: u32, keyword: &'static str, value: TagValue, group: TagGroup) -> DicomTag {
    DicomTag {
        number,
        keyword,
        value,
        group,
    }
}

/// Every tag that can become an attribute, in the order of their keywords. docs/pictures.md shows it.
pub static TAGS: [DicomTag; 38] = {
    use TagGroup::{Clinical, Identifying, Technical};
    use TagValue::{Age, Date, Number, Numbers, Short, Text, Texts, Whole};
    [
        tag(0x0008_0050, "AccessionNumber", Text, Identifying),
        tag(0x0028_0101, "BitsStored", Short, Technical),
        tag(0x0018_0015, "BodyPartExamined", Text, Technical),
        tag(0x0028_0011, "Columns", Short, Technical),
        tag(0x0018_1000, "DeviceSerialNumber", Text, Identifying),
        tag(0x0020_0052, "FrameOfReferenceUID", Text, Identifying),
        tag(0x0020_0062, "ImageLaterality", Text, Technical),
        tag(0x0008_0008, "ImageType", Texts, Technical),
        tag(0x0020_0013, "InstanceNumber", Whole, Technical),
        tag(0x0008_0080, "InstitutionName", Text, Identifying),
        tag(0x0020_0060, "Laterality", Text, Technical),
        tag(0x0008_0070, "Manufacturer", Text, Technical),
        tag(0x0008_1090, "ManufacturerModelName", Text, Technical),
        tag(0x0008_0060, "Modality", Text, Technical),
        tag(0x0028_0008, "NumberOfFrames", Whole, Technical),
        tag(0x0008_1070, "OperatorsName", Text, Identifying),
        tag(0x0010_1010, "PatientAge", Age, Clinical),
        tag(0x0010_0030, "PatientBirthDate", Date, Identifying),
        tag(0x0010_0020, "PatientID", Text, Identifying),
        tag(0x0010_0010, "PatientName", Text, Identifying),
        tag(0x0018_5100, "PatientPosition", Text, Technical),
        tag(0x0010_0040, "PatientSex", Text, Clinical),
        tag(0x0008_1050, "PerformingPhysicianName", Text, Identifying),
        tag(0x0028_0004, "PhotometricInterpretation", Text, Technical),
        tag(0x0028_0030, "PixelSpacing", Numbers, Technical),
        tag(0x0008_0090, "ReferringPhysicianName", Text, Identifying),
        tag(0x0028_0010, "Rows", Short, Technical),
        tag(0x0008_0018, "SOPInstanceUID", Text, Identifying),
        tag(0x0008_103E, "SeriesDescription", Text, Clinical),
        tag(0x0020_000E, "SeriesInstanceUID", Text, Identifying),
        tag(0x0020_0011, "SeriesNumber", Whole, Technical),
        tag(0x0018_0050, "SliceThickness", Number, Technical),
        tag(0x0008_1010, "StationName", Text, Identifying),
        tag(0x0008_0020, "StudyDate", Date, Clinical),
        tag(0x0008_1030, "StudyDescription", Text, Clinical),
        tag(0x0020_0010, "StudyID", Text, Identifying),
        tag(0x0020_000D, "StudyInstanceUID", Text, Identifying),
        tag(0x0018_5101, "ViewPosition", Text, Technical),
    ]
};

/// Which frame of several is the picture. An item is an object and has one row, so there is no choice of all frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameChoice {
    /// The first.
    #[default]
    First,
    /// The one in the middle: of n frames, counted from 0, frame n / 2 rounded down.
    Middle,
    /// None: an item with several frames fails.
    Reject,
}

impl FrameChoice {
    /// The frame of so many, from 0; none where several are refused.
    #[must_use]
    pub fn of(self, frames: u32) -> Option<u32> {
        match self {
            Self::First => Some(0),
            Self::Middle => Some(frames / 2),
            Self::Reject => (frames <= 1).then_some(0),
        }
    }

    /// The choice as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Middle => "middle",
            Self::Reject => "reject",
        }
    }
}

/// What is taken from the DICOM files of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DicomSpec {
    /// Keywords of the tags that become attributes, in the order of [`TAGS`].
    pub tags: Vec<String>,
    /// Which frame of several is the picture.
    #[serde(default)]
    pub frame: FrameChoice,
}

impl Default for DicomSpec {
    fn default() -> Self {
        Self::taking(|tag| tag.group != TagGroup::Identifying)
    }
}

/// A word that is none for tags.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no tag that can become an attribute: give usual, technical, none, or keywords of docs/pictures.md")]
pub struct UnknownTag(pub String);

impl DicomSpec {
    /// Pixels alone: of the first frame, without any tag.
    #[must_use]
    pub fn pixels_alone() -> Self {
        Self::taking(|_| false)
    }

    fn taking(takes: impl Fn(&DicomTag) -> bool) -> Self {
        let taken = TAGS.iter().filter(|tag| takes(tag));
        Self {
            tags: taken.map(|tag| tag.keyword.to_owned()).collect(),
            frame: FrameChoice::First,
        }
    }

    /// What words mean: `usual` (all that do not identify), `technical`, `none`, keywords; nothing is `usual`.
    ///
    /// # Errors
    /// The first word that is none of these.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>, frame: FrameChoice) -> Result<Self, UnknownTag> {
        let words: Vec<&str> = words.into_iter().collect();
        let known = |word: &&str| {
            matches!(*word, "usual" | "technical" | "none") || TAGS.iter().any(|tag| tag.keyword == *word)
        };
        if let Some(unknown) = words.iter().find(|word| !known(word)) {
            return Err(UnknownTag((*unknown).chars().take(100).collect()));
        }
        let has = |word| words.contains(&word);
        let usual = words.is_empty() || has("usual");
        let takes = |tag: &DicomTag| match tag.group {
            TagGroup::Technical => usual || has("technical") || has(tag.keyword),
            TagGroup::Clinical => usual || has(tag.keyword),
            TagGroup::Identifying => has(tag.keyword),
        };
        Ok(Self {
            frame,
            ..Self::taking(takes)
        })
    }

    /// The tags that become attributes.
    pub fn tags(&self) -> impl Iterator<Item = &'static DicomTag> {
        let taken = |tag: &&DicomTag| self.tags.iter().any(|keyword| keyword == tag.keyword);
        TAGS.iter().filter(taken)
    }

    /// What identifies the choice as part of a row's `source_digest`: another choice makes other rows. Empty for the
    /// usual one.
    #[must_use]
    pub fn identity(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        format!("dicom={}:{}\n", self.frame.as_str(), self.tags.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_group_brings_a_tag_that_identifies_and_each_is_there_by_its_keyword() {
        for words in [
            &[] as &[&str],
            &["usual"],
            &["technical"],
            &["usual", "technical", "none"],
        ] {
            let spec = DicomSpec::of_words(words.iter().copied(), FrameChoice::First).unwrap();
            assert!(spec.tags().all(|tag| tag.group != TagGroup::Identifying), "{words:?}");
        }
        let patient = [
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "AccessionNumber",
            "StudyInstanceUID",
        ];
        for keyword in patient {
            let found = TAGS.iter().find(|tag| tag.keyword == keyword).unwrap();
            assert_eq!(found.group, TagGroup::Identifying, "{keyword}");
            let spec = DicomSpec::of_words(["none", keyword], FrameChoice::First).unwrap();
            assert_eq!(spec.tags, [keyword]);
        }
        let technical = DicomSpec::of_words(["technical"], FrameChoice::First).unwrap();
        assert!(technical.tags.contains(&"Modality".to_owned()));
        assert!(!technical.tags.contains(&"StudyDate".to_owned()));
    }

    #[test]
    fn keywords_are_sorted_and_neither_they_nor_numbers_are_there_twice() {
        assert!(TAGS.windows(2).all(|pair| pair[0].keyword < pair[1].keyword));
        let mut numbers: Vec<u32> = TAGS.iter().map(|tag| tag.number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_word_that_is_no_tag_is_named() {
        let error = DicomSpec::of_words(["Modality", "modality"], FrameChoice::First).unwrap_err();
        assert_eq!(error.0, "modality");
    }

    #[test]
    fn the_usual_choice_has_no_identity_and_any_other_has_its_own() {
        assert_eq!(DicomSpec::default().identity(), "");
        assert_eq!(
            DicomSpec::of_words([], FrameChoice::First).unwrap(),
            DicomSpec::default()
        );
        let others = [
            DicomSpec::of_words([], FrameChoice::Middle).unwrap(),
            DicomSpec::of_words([], FrameChoice::Reject).unwrap(),
            DicomSpec::of_words(["usual", "PatientID"], FrameChoice::First).unwrap(),
            DicomSpec::pixels_alone(),
        ];
        let mut identities: Vec<String> = others.iter().map(DicomSpec::identity).collect();
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), others.len());
        assert!(!identities.contains(&String::new()));
    }

    #[test]
    fn the_middle_of_few_frames_is_there() {
        let middle = |frames| FrameChoice::Middle.of(frames);
        assert_eq!([1, 2, 3, 4].map(middle), [Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!([1, 2].map(|frames| FrameChoice::Reject.of(frames)), [Some(0), None]);
    }
}
