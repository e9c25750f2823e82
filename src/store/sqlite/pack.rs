//! Bodies as they are kept: compressed where that pays, always given back byte for byte.
//!
//! What a commit costs is the pages that it writes, twice each: into the log and into the file. XML and
//! JSON shrink to less than half, so more declarations fit into one commit and three years of evidence
//! into half the disk. Packing is done by whoever asks, before the writer's queue; hashes are always
//! of the plain bytes.

use bytes::Bytes;

/// Smaller bodies are kept as they are.
const WORTH_PACKING: usize = 256;
/// Nothing larger was ever packed by us; a row that claims it is broken.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// A body, ready to be kept.
#[derive(Debug)]
pub(super) struct Packed {
    /// Bytes of the plain body.
    pub(super) size: usize,
    /// Plain when as long as `size`, else an LZ4 block.
    pub(super) bytes: Bytes,
}

/// Packs a body, unless it would not get smaller.
pub(super) fn pack(plain: &Bytes) -> Packed {
    if plain.len() >= WORTH_PACKING {
        let packed = lz4_flex::block::compress(plain);
        if packed.len() < plain.len() {
            return Packed { size: plain.len(), bytes: Bytes::from(packed) };
        }
    }
    Packed { size: plain.len(), bytes: plain.clone() }
}

/// The plain body; `None` when the row is not what [`pack`] made.
pub(super) fn unpack(size: usize, bytes: &[u8]) -> Option<Bytes> {
    if bytes.len() == size {
        return Some(Bytes::copy_from_slice(bytes));
    }
    if size > MAX_BODY {
        return None;
    }
    let plain = lz4_flex::block::decompress(bytes, size).ok()?;
    (plain.len() == size).then(|| Bytes::from(plain))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_body_comes_back_byte_for_byte(words in proptest::collection::vec("[a-z<>/\\x00-\\x{10ffff}]{0,12}", 0..400), repeats in 1usize..4) {
            let plain = Bytes::from(words.concat().repeat(repeats));
            let packed = pack(&plain);
            prop_assert!(packed.bytes.len() <= plain.len());
            prop_assert_eq!(unpack(packed.size, &packed.bytes), Some(plain));
        }

        #[test]
        fn a_broken_row_is_told_and_never_more_than_it_says(bytes in proptest::collection::vec(any::<u8>(), 0..600), size in 0usize..2000) {
            if let Some(plain) = unpack(size, &bytes) {
                prop_assert_eq!(plain.len(), size);
            }
        }
    }
}
