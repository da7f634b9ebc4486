use super::*;
use proptest::prelude::*;
use std::io::Cursor;

fn written<T: Element>(row: &[usize], rows: &[&[T]]) -> Vec<u8> {
    let mut writer = NpyWriter::<_, T>::new(Cursor::new(Vec::new()), row).unwrap();
    for row in rows {
        writer.push(row).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Header's text and the numbers' bytes, as numpy parts them.
fn parts(file: &[u8]) -> (String, &[u8]) {
    assert_eq!(&file[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([file[8], file[9]]));
    let (header, body) = file.split_at(10 + length);
    assert_eq!(header.len() % 64, 0);
    let text = String::from_utf8(header[10..].to_vec()).unwrap();
    assert!(text.ends_with('\n'));
    (text.trim_end().to_owned(), body)
}

#[test]
fn a_matrix_is_what_numpy_writes() {
    let file = written::<f32>(&[3], &[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0, 7.0, 8.0, 9.0]]);
    let (text, body) = parts(&file);
    assert_eq!(text, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 3), }");
    let values: Vec<f32> = body
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
}

#[test]
fn shapes_of_one_and_three_dimensions_are_python_tuples() {
    assert!(
        parts(&written::<u8>(&[], &[&[1, 2, 3, 4]]))
            .0
            .contains("'shape': (4,), }")
    );
    let picture = written::<u8>(&[2, 3], &[&[7; 6], &[8; 6]]);
    let (text, body) = parts(&picture);
    assert_eq!(text, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3), }");
    assert_eq!(body, [[7; 6], [8; 6]].concat());
}

#[test]
fn an_array_of_no_rows_is_whole() {
    assert!(parts(&written::<f32>(&[384], &[])).0.contains("'shape': (0, 384)"));
}

#[test]
fn half_rows_and_shapes_that_cannot_be_are_refused() {
    let mut writer = NpyWriter::<_, f32>::new(Cursor::new(Vec::new()), &[2]).unwrap();
    for values in [&[][..], &[1.0], &[1.0, 2.0, 3.0]] {
        assert!(matches!(writer.push(values), Err(NpyError::Row { row: 2, .. })));
    }
    assert_eq!(writer.rows(), 0);
    for shape in [&[0][..], &[usize::MAX, 2], &[1; 9]] {
        let refused = NpyWriter::<_, f32>::new(Cursor::new(Vec::new()), shape);
        assert!(matches!(refused, Err(NpyError::Shape(_))), "{shape:?}");
    }
}

proptest! {
    #[test]
    fn any_shape_leaves_room_for_any_number_of_rows(row in prop::collection::vec(1_usize..1_000_000_000, 0..9), rows in any::<u64>()) {
        let longest = MAGIC.len() + 2 + dict::<u8>(0, &row).len() + DIGITS;
        let bytes = if longest <= SHORT_HEADER_BYTES { SHORT_HEADER_BYTES } else { HEADER_BYTES };
        prop_assert_eq!(header::<u8>(rows, &row, bytes).len(), bytes);
    }
}
