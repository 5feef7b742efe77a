//! The file of an organisation, as a reader who has nothing else checks it.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The lines of the file of an organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct OrganisationFile {
    /// The whole text.
    pub text: String,
    /// The first line's data.
    pub header: Value,
    /// The lines between the first and the last one.
    pub lines: Vec<Value>,
    /// The last line's data.
    pub footer: Value,
}

impl OrganisationFile {
    /// Reads a file. It must be whole: its footer counts its lines.
    pub fn read(bytes: &[u8]) -> Self {
        let mut text = String::new();
        GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (first, last) = (lines.remove(0), lines.pop().unwrap());
        assert_eq!((&first["kind"], &last["kind"]), (&json!("header"), &json!("footer")));
        let file = Self { header: first["data"].clone(), footer: last["data"].clone(), lines, text };
        let mut counts = BTreeMap::<&str, u64>::new();
        for line in &file.lines {
            *counts.entry(line["kind"].as_str().unwrap()).or_default() += 1;
        }
        assert_eq!(file.footer, json!({ "lines": file.lines.len(), "counts": counts }));
        file
    }

    /// What the file has of a kind: of the organisation itself, or of a ledger.
    pub fn of(&self, kind: &str, mode: Option<&str>) -> Vec<Value> {
        let is_wanted = |line: &&Value| line["kind"] == json!(kind) && line["mode"].as_str() == mode;
        self.lines.iter().filter(is_wanted).map(|line| line["data"].clone()).collect()
    }

    /// Verifies the hash chains of both ledgers, from nothing but the file.
    pub fn verify_chains(&self) {
        for mode in ["live", "test"] {
            let ledger = &self.header["ledgers"][mode];
            let name = ledger["ledger"].as_str().unwrap();
            let mut hash = Sha256::digest(format!("scrip ledger of {name}")).to_vec();
            assert_eq!(ledger["genesis"], json!(hexadecimal(&hash)), "{mode}");
            let transactions = self.of("transaction", Some(mode));
            for (transaction, number) in transactions.iter().zip(1u64..) {
                let proof = &transaction["proof"];
                assert_eq!(proof["previousHash"], json!(hexadecimal(&hash)), "{mode} {number}");
                let row = proof["row"].as_str().unwrap();
                hash = Sha256::new().chain_update(&hash).chain_update(row).finalize().to_vec();
                assert_eq!(proof["hash"], json!(hexadecimal(&hash)), "{mode} {number}");
                let row: Value = serde_json::from_str(row).unwrap();
                let numbers = [&transaction["sequence"], &proof["sequence"], &row["seq"]];
                assert_eq!(numbers, [&json!(number); 3], "{mode} {number}");
            }
            assert_eq!(ledger["throughSequence"], json!(transactions.len()), "{mode}");
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
