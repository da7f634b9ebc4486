//! Pictures of hits, small: read from where the row says, and proven to be the picture that was indexed.

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};
use sightline_core::digest::sha256_hex;
use sightline_core::tar_path;
use sightline_model_folder::Resample;
use sightline_objects::{ObjectError, ObjectStore, Stores};
use sightline_pictures::resize::{Window, resize};
use sightline_pictures::{DecodeLimits, Picture, picture};
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Semaphore;

const JPEG_QUALITY: u8 = 85;

/// A small picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Thumbnail {
    pub(crate) jpeg: Vec<u8>,
    /// Of the source picture, upright, in pixels.
    pub(crate) source_width: u32,
    /// Of the source picture, upright, in pixels.
    pub(crate) source_height: u32,
}

/// Why there is no thumbnail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThumbnailError {
    #[error("{0:?} is no path that a picture can be read from")]
    Path(String),
    #[error(transparent)]
    Object(#[from] ObjectError),
    #[error("the picture has {bytes} bytes, above the limit of {limit}")]
    TooLarge { bytes: u64, limit: u64 },
    #[error("the picture is not the one that was indexed: its content has changed since")]
    Changed,
    #[error(transparent)]
    Decode(#[from] picture::DecodeError),
    #[error("cannot write the JPEG: {0}")]
    Jpeg(#[from] image::ImageError),
    #[error("making it was interrupted")]
    Interrupted,
}

/// Makes thumbnails, a bounded number at once.
#[derive(Debug)]
pub(crate) struct Thumbnails {
    stores: Arc<Stores>,
    places: Arc<Semaphore>,
    decode: DecodeLimits,
    max_object_bytes: u64,
}

impl Thumbnails {
    pub(crate) fn new(stores: Arc<Stores>, at_once: usize, decode: DecodeLimits, max_object_bytes: u64) -> Self {
        Self {
            stores,
            places: Arc::new(Semaphore::new(at_once.max(1))),
            decode,
            max_object_bytes,
        }
    }

    /// The picture at `path`, its longer side at most `pixels`. With `content_hash`, only the one with this SHA-256.
    pub(crate) async fn make(&self, path: &str, content_hash: &str, pixels: u32) -> Result<Thumbnail, ThumbnailError> {
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.map_err(|_| ThumbnailError::Interrupted)?;
        let bytes = self.read(path, content_hash).await?;
        let limits = self.decode;
        let making = tokio::task::spawn_blocking(move || {
            // Held by the work rather than by who waits for it, who may be gone sooner.
            let _place = place;
            shrink(&picture::decode(&bytes, &limits)?, pixels)
        });
        making.await.map_err(|_| ThumbnailError::Interrupted)?
    }

    /// A path is a dataset's root and a key, joined by a slash, and does not say where the one ends. A `file:` root
    /// is percent-encoded and a key is not, so each border is another file; the content's digest tells which is
    /// meant. In S3 nothing is encoded, so the border does not matter.
    async fn read(&self, path: &str, content_hash: &str) -> Result<Bytes, ThumbnailError> {
        let mut last = ThumbnailError::Path(path.chars().take(200).collect());
        let (object, part) = tar_path::read(path).map_or((path, None), |(tar, bytes)| (tar, Some(bytes)));
        for (root, key) in borders(object) {
            let found = match self.stores.open(root).await {
                Ok(store) => self.read_object(&*store, key, part.clone(), content_hash).await,
                Err(error) => Err(error.into()),
            };
            match found {
                Ok(bytes) => return Ok(bytes),
                Err(ThumbnailError::Object(error)) if error.is_retryable() => return Err(error.into()),
                // "Not there" says least: any other reason is worth more to whoever reads the log.
                Err(ThumbnailError::Object(ObjectError::NotFound { .. }))
                    if !matches!(last, ThumbnailError::Path(_)) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn read_object(
        &self,
        store: &dyn ObjectStore,
        key: &str,
        part: Option<Range<u64>>,
        content_hash: &str,
    ) -> Result<Bytes, ThumbnailError> {
        let meta = store.head(key).await?;
        let size = part.as_ref().map_or(meta.size, |part| part.end - part.start);
        if size > self.max_object_bytes {
            return Err(ThumbnailError::TooLarge {
                bytes: size,
                limit: self.max_object_bytes,
            });
        }
        let bytes = match part {
            Some(part) => store.get_range(key, part, Some(&meta.etag)).await?,
            None => store.get(key, Some(&meta.etag)).await?,
        };
        if !content_hash.is_empty() && sha256_hex(&bytes) != content_hash {
            return Err(ThumbnailError::Changed);
        }
        Ok(bytes)
    }
}

/// Where root and key of a path may part, the longest root first.
fn borders(path: &str) -> Vec<(&str, &str)> {
    let Some(authority) = path.find("://").map(|scheme| scheme + "://".len()) else {
        return Vec::new();
    };
    let slashes = path.match_indices('/').map(|(position, _)| position);
    let parts = slashes
        .filter(|slash| *slash >= authority)
        .map(|slash| (&path[..slash], &path[slash + 1..]))
        .filter(|(_, key)| !key.is_empty());
    if path.starts_with("s3://") {
        return parts.take(1).collect();
    }
    // `file://` alone names nothing; `file:///` is the root directory.
    let root = path.strip_prefix("file:///").map(|key| ("file:///", key));
    let mut borders: Vec<_> = parts.filter(|(root, _)| root.len() > authority).collect();
    borders.reverse();
    borders.extend(root);
    borders
}

fn shrink(picture: &Picture, pixels: u32) -> Result<Thumbnail, ThumbnailError> {
    let (source_width, source_height) = (picture.width(), picture.height());
    let longer = source_width.max(source_height);
    let scaled = |side: u32| {
        let scaled = u64::from(side) * u64::from(pixels) / u64::from(longer);
        u32::try_from(scaled).unwrap_or(pixels).max(1)
    };
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY);
    if longer <= pixels {
        encoder.write_image(&picture.rgb(), source_width, source_height, ExtendedColorType::Rgb8)?;
    } else {
        let (width, height) = (scaled(source_width), scaled(source_height));
        let whole = Window {
            left: 0,
            top: 0,
            width,
            height,
        };
        let small = resize(picture, width, height, Resample::Bicubic, whole);
        encoder.write_image(&small, width, height, ExtendedColorType::Rgb8)?;
    }
    Ok(Thumbnail {
        jpeg,
        source_width,
        source_height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_s3_the_bucket_alone_is_the_root_so_that_any_key_is_found() {
        assert_eq!(
            borders("s3://bucket/a//b%20c/d.png"),
            [("s3://bucket", "a//b%20c/d.png")]
        );
        assert_eq!(borders("s3://bucket"), []);
    }

    #[test]
    fn in_a_directory_every_border_is_tried_the_longest_root_first() {
        assert_eq!(
            borders("file:///data/a%20b/사진.png"),
            [
                ("file:///data/a%20b", "사진.png"),
                ("file:///data", "a%20b/사진.png"),
                ("file:///", "data/a%20b/사진.png"),
            ]
        );
        assert_eq!(borders("/data/x.png"), []);
    }

    #[test]
    fn the_longer_side_becomes_so_many_pixels_and_no_side_vanishes() {
        let wide = Picture::new(1000, 1, vec![200; 3000]).unwrap();
        let thumbnail = shrink(&wide, 64).unwrap();
        let small = picture::decode(&thumbnail.jpeg, &DecodeLimits::default()).unwrap();
        assert_eq!((small.width(), small.height()), (64, 1));
        assert_eq!((thumbnail.source_width, thumbnail.source_height), (1000, 1));
        let small = Picture::new(20, 10, vec![9; 600]).unwrap();
        let kept = picture::decode(&shrink(&small, 64).unwrap().jpeg, &DecodeLimits::default()).unwrap();
        assert_eq!((kept.width(), kept.height()), (20, 10));
    }
}
