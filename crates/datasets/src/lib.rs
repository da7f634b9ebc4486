//! Datasets: from what a user has in a store to the items of a run.
//!
//! Promises: a dataset is read page by page, by ranges of its files, in memory that [`ReaderOptions`] bounds; any
//! process can go on from a page's cursor; pages of any size give the same rows (that a key is given twice is seen within
//! a page); a mistake in a row of a manifest is
//! that row's failure, with its line. A manifest that is replaced while it is read is an error, never a mixture.
//! Leaves to others: what happens with the items (`sightline-worker`), and waiting when a store is away.
//!
//! What a file is, is told by its name: `jpg jpeg png webp tif tiff bmp gif dcm dicom`, in any case of letters.
//!
//! # Manifests
//! A column that the user does not name is found by its name, in this order, in any case of letters:
//! key: `key`, else the path of the image, else `line:` and the row's line; image: `image`, `image_path`, `path`, `file`, `file_name`, `filename`, `url`;
//! text: `text`, `caption`, `report`, `report_text`; image id: `image_id`; uid: `uid`; labels: `labels`, `label`.
//! All others are attributes. A value of a CSV file that is written as JSON writes a number is a number (`007` is not);
//! JSONL and Parquet keep their types. Empty values and nulls are left out; what is nested is kept as JSON text.
//!
//! # Tars
//! Of a WebDataset no more than headers, and the small files that say something of pictures, are looked at; what a picture
//! is, its place in the tar says. A tar that cannot be read to its end fails by its own key.
//!
//! # Vectors that were made elsewhere
//! A table's rows and the rows of the arrays beside it belong together by their place. Before the first page is given,
//! their numbers are compared. Pictures are named, not looked up.

mod clip_retrieval;
mod columns;
mod cursor;
mod embeddings;
mod entry;
mod error;
mod kind;
mod lengths;
mod nih;
mod parts;
mod pin;
mod prefix;
mod reader;
mod split;
mod table;
mod table_folder;
mod webdataset;

pub use entry::is_unnamed;
pub use error::DatasetError;
pub use kind::is_picture;
pub use pin::pin_again;
pub use reader::{Page, Reader, ReaderOptions, read_page};
pub use split::{Part, Parts, Split};
pub use table::OpenTables;
