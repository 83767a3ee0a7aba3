//! The hash by which Kafka's clients spread keys over partitions: mirror/kafka/partition.py.

const MIX: u32 = 0x5bd1_e995;
const SEED: u32 = 0x9747_b28c;

/// Kafka's 32-bit murmur2, without its sign: its remainder by their number is the partition.
pub fn spread(key: &str) -> u32 {
    let mut words = key.as_bytes().chunks_exact(4);
    let mut value = SEED ^ key.len() as u32;
    for word in &mut words {
        let word = little(word).wrapping_mul(MIX);
        value = value.wrapping_mul(MIX) ^ (word ^ (word >> 24)).wrapping_mul(MIX);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        value = (value ^ little(rest)).wrapping_mul(MIX);
    }
    value = (value ^ (value >> 13)).wrapping_mul(MIX);
    (value ^ (value >> 15)) & 0x7fff_ffff
}

fn little(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u32::from(byte))
}
