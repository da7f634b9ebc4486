//! The folder that results are written into.

use super::report::{Found, Report};
use crate::error::CliError;
use sightline_npy::{NpyError, NpyWriter};
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

/// What follows a picture's name.
const ENDINGS: [&str; 3] = [".npy", ".pixels.npy", ".err"];

/// A folder, and the names that pictures of this call took in it.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    taken: HashSet<String>,
}

impl Folder {
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        std::fs::create_dir_all(path).map_err(|error| {
            CliError::Failed(format!(
                "cannot make the folder {}: {error}; name another with --out",
                path.display()
            ))
        })?;
        Ok(Self {
            path: path.to_owned(),
            taken: HashSet::new(),
        })
    }

    /// Writes what was found, or why nothing was, and removes what an earlier call left under that name.
    pub(super) fn write(&mut self, report: &mut Report) -> Result<(), CliError> {
        let name = self.name(&report.image);
        let [decoded, pixels, error] = ENDINGS.map(|ending| self.path.join(format!("{name}{ending}")));
        for old in [&decoded, &pixels, &error] {
            match std::fs::remove_file(old) {
                Err(problem) if problem.kind() != ErrorKind::NotFound => return Err(cannot(old, problem)),
                _ => {}
            }
        }
        match &report.found {
            Ok(found) => {
                write_picture(&decoded, found).map_err(|problem| cannot(&decoded, problem))?;
                report.files.push(decoded);
                if let Some(([channels, height, width], values)) = &found.pixels {
                    write_array(&pixels, &[*height, *width], *channels, values)
                        .map_err(|problem| cannot(&pixels, problem))?;
                    report.files.push(pixels);
                }
            }
            Err(problem) => {
                let text = format!("{}: {}\n", problem.reason, problem.message);
                std::fs::write(&error, text).map_err(|problem| cannot(&error, problem))?;
                report.files.push(error);
            }
        }
        Ok(())
    }

    /// The picture's own name, or with a number behind it where another picture took what would be written.
    fn name(&mut self, image: &Path) -> String {
        let own = image
            .file_name()
            .unwrap_or(image.as_os_str())
            .to_string_lossy()
            .into_owned();
        let mut name = own.clone();
        let mut number = 1_u32;
        while ENDINGS
            .iter()
            .any(|ending| self.taken.contains(&format!("{name}{ending}")))
        {
            number += 1;
            name = format!("{own}-{number}");
        }
        self.taken.extend(ENDINGS.map(|ending| format!("{name}{ending}")));
        name
    }
}

fn cannot(path: &Path, problem: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!(
        "cannot write {}: {problem}; see that there is room, or name another folder with --out",
        path.display()
    ))
}

fn write_picture(path: &Path, found: &Found) -> Result<(), NpyError> {
    let (height, width) = (found.picture.height() as usize, found.picture.width() as usize);
    write_array(path, &[width, 3], height, &found.picture.rgb())
}

fn write_array<T: sightline_npy::Element>(
    path: &Path,
    row: &[usize],
    rows: usize,
    values: &[T],
) -> Result<(), NpyError> {
    let mut writer = NpyWriter::new(BufWriter::new(File::create(path)?), row)?;
    for values in values.chunks(values.len().div_ceil(rows.max(1)).max(1)) {
        writer.push(values)?;
    }
    writer.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_one_name_get_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut folder = Folder::create(folder.path()).unwrap();
        let names = ["a/x.jpg", "b/x.jpg", "x.jpg-2", "c/x.jpg", "y.jpg", "y.jpg.pixels"]
            .map(|path| folder.name(Path::new(path)));
        assert_eq!(
            names,
            ["x.jpg", "x.jpg-2", "x.jpg-2-2", "x.jpg-3", "y.jpg", "y.jpg.pixels-2"]
        );
    }
}
