//! The params of a run: what is given, over the Dag's defaults, each checked against its JSON Schema.

use serde_json::{Map, Value};

use crate::dag::{Dag, Param};

/// What is wrong with a run's params, in the words of whoever gave them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadParam(String);

/// The params of a run that is given these.
pub fn resolve(dag: &Dag, given: &Map<String, Value>) -> Result<Map<String, Value>, BadParam> {
    if let Some(unknown) = given.keys().find(|name| !dag.params.contains_key(*name)) {
        let known: Vec<&str> = dag.params.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(BadParam(format!("{} has no param {unknown:?}; it has: {known}", dag.dag_id)));
    }
    let mut params = Map::new();
    for (name, param) in &dag.params {
        let value = given.get(name).or(param.default.as_ref());
        let value = value.ok_or_else(|| {
            BadParam(format!(
                "the param {name:?} has no default; give it with --param {name}=VALUE"
            ))
        })?;
        check(name, param, value)?;
        params.insert(name.clone(), value.clone());
    }
    Ok(params)
}

/// Whether the value fits the param's schema; the error says in what it does not.
pub fn check(name: &str, param: &Param, value: &Value) -> Result<(), BadParam> {
    let validator = validator(&param.schema).map_err(BadParam)?;
    let wrong = validator.iter_errors(value).next();
    wrong.map_or(Ok(()), |error| {
        let place = match error.instance_path().to_string() {
            path if path.is_empty() => String::new(),
            path => format!(" at {path}"),
        };
        Err(BadParam(format!(
            "the param {name:?} is {value}, which does not fit its schema{place}: {error}"
        )))
    })
}

/// The error says why this is no JSON Schema.
pub fn check_schema(schema: &Value) -> Result<(), String> {
    validator(schema).map(drop)
}

fn validator(schema: &Value) -> Result<jsonschema::Validator, String> {
    jsonschema::validator_for(schema).map_err(|error| format!("it is not a JSON Schema: {error}"))
}

/// A text from a command line as the value that the param's schema takes: JSON if that fits, otherwise
/// the text itself.
pub fn from_text(dag: &Dag, name: &str, text: &str) -> Value {
    let as_text = Value::from(text);
    let as_json = serde_json::from_str(text).unwrap_or_else(|_| as_text.clone());
    let fits =
        |value: &Value| dag.params.get(name).is_none_or(|param| check(name, param, value).is_ok());
    if !fits(&as_json) && fits(&as_text) { as_text } else { as_json }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DagId;
    use serde_json::json;

    fn dag() -> Dag {
        let mut dag = Dag::new(DagId::new("d").expect("a name"), Vec::new());
        let param = |schema: Value, default: Option<Value>| Param {
            schema,
            default,
            description: String::new(),
        };
        dag.params = [
            ("carrier".to_owned(), param(json!({"type": "string", "pattern": "^[A-Z]{2}$"}), None)),
            ("rows".to_owned(), param(json!({"type": "integer", "minimum": 1}), Some(json!(5)))),
        ]
        .into();
        dag
    }

    fn check(given: Value, expected: Result<Value, &str>) {
        let given = given.as_object().expect("a map").clone();
        match (resolve(&dag(), &given), expected) {
            (Ok(params), Ok(expected)) => assert_eq!(Value::from(params), expected),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn every_param_fits_its_schema_or_is_refused() {
        check(json!({"carrier": "UA"}), Ok(json!({"carrier": "UA", "rows": 5})));
        check(json!({}), Err("\"carrier\" has no default"));
        check(json!({"carrier": "united"}), Err("does not match"));
        check(json!({"carrier": "UA", "rows": 0}), Err("does not fit its schema"));
        check(json!({"row": 1}), Err("it has: carrier, rows"));
    }

    #[test]
    fn a_text_is_what_the_schema_takes() {
        assert_eq!(from_text(&dag(), "rows", "7"), json!(7));
        assert_eq!(from_text(&dag(), "carrier", "UA"), json!("UA"));
    }
}
