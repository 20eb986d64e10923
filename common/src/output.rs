//! What a task passes on: the file named by `$TOWPATH_OUTPUT`. Each line is a JSON object, whose entries
//! are taken, or `key=value`, whose value is a text.

use serde_json::Value;

use crate::outcome::Outputs;

/// All outputs of an attempt together, in bytes: they travel through messages and rows. Airflow's
/// advice for XCom and the cap of common backends.
pub const OUTPUT_MAX: u64 = 64 * 1024;

const KEY_MAX: usize = 250;

/// The error says which line is wrong and what would be right.
pub fn parse(bytes: &[u8]) -> Result<Outputs, String> {
    if bytes.len() as u64 > OUTPUT_MAX {
        return Err(format!(
            "the output is larger than {OUTPUT_MAX} bytes; write large data to a file or an object \
             store and pass on its place"
        ));
    }
    let text =
        std::str::from_utf8(bytes).map_err(|error| format!("the output is not UTF-8: {error}"))?;
    let mut outputs = Outputs::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        read_line(line, &mut outputs)
            .map_err(|what| format!("line {number} of the output: {what}"))?;
    }
    Ok(outputs)
}

fn read_line(line: &str, outputs: &mut Outputs) -> Result<(), String> {
    if line.trim_start().starts_with('{') {
        return match serde_json::from_str(line) {
            Ok(Value::Object(entries)) => {
                for (key, value) in entries {
                    outputs.insert(checked(&key)?, value);
                }
                Ok(())
            }
            Ok(_) => Err("it is not a JSON object".to_owned()),
            Err(error) => Err(format!("it is not a JSON object: {error}")),
        };
    }
    match line.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            outputs.insert(checked(key.trim())?, Value::from(value));
            Ok(())
        }
        _ => Err(format!("{line:?} is neither a JSON object nor key=value")),
    }
}

/// Keys are names in templates and in database rows.
fn checked(key: &str) -> Result<String, String> {
    if key.is_empty() || key.len() > KEY_MAX || key.chars().any(char::is_control) {
        return Err(format!("{key:?} cannot be a key; use up to {KEY_MAX} printable characters"));
    }
    Ok(key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_and_later_lines_win() {
        let outputs = parse(b"rows=3\n\n{\"rows\": 4, \"ok\": true}\npath=a=b\n").expect("reads");
        let expected = r#"{"ok":true,"path":"a=b","rows":4}"#;
        assert_eq!(serde_json::to_string(&outputs).expect("JSON"), expected);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let check = |bytes: &[u8], expected: &str| {
            let error = parse(bytes).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        };
        check(b"ok=1\nnonsense\n", "line 2 of the output: \"nonsense\"");
        check(b"{\"a\": }", "line 1");
        check(b"=x", "neither");
        check(br#"{"a\u0000b": 1}"#, "cannot be a key");
        check(b"a=\xff", "not UTF-8");
        check(&vec![b'a'; 64 * 1024 + 1], "larger than 65536 bytes");
    }
}
