//! What is looked up only while a template is rendered: variables, connections, what other runs passed on.

use std::fmt::Debug;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Serde, Value};
use minijinja::{Error, ErrorKind, State};

use super::pull::Pull;
use crate::connection::Connection;
use crate::port::XCom;
use crate::run::DagRun;

/// Answers while a template is rendered. An error's text says what is wrong and what would be right, and
/// holds no secret.
pub trait Lookup: Debug + Send + Sync {
    fn variable(&self, name: &str) -> Result<Option<String>, String>;
    fn connection(&self, name: &str) -> Result<Option<Connection>, String>;
    /// What these tasks of some run have passed on.
    fn pull(&self, pull: &Pull) -> Result<Vec<XCom>, String>;
    /// The Dag's latest run before this one that succeeded.
    fn previous_success(&self) -> Result<Option<DagRun>, String>;
}

/// For templates that ask for nothing.
#[derive(Debug)]
pub struct NothingToLookUp;

impl Lookup for NothingToLookUp {
    fn variable(&self, _name: &str) -> Result<Option<String>, String> {
        Ok(None)
    }

    fn connection(&self, _name: &str) -> Result<Option<Connection>, String> {
        Ok(None)
    }

    fn pull(&self, _pull: &Pull) -> Result<Vec<XCom>, String> {
        Ok(Vec::new())
    }

    fn previous_success(&self) -> Result<Option<DagRun>, String> {
        Ok(None)
    }
}

/// A failed lookup as an error of the template.
pub fn refused(why: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, why)
}

/// What comes by name: `kind.NAME`, or `kind.get(name, default)`.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// `var.value`.
    Text,
    /// `var.json`.
    Json,
    /// `conn`.
    Connection,
}

#[derive(Debug)]
pub struct ByName {
    pub kind: Kind,
    pub lookup: Arc<dyn Lookup>,
}

impl ByName {
    fn get(&self, name: &str) -> Result<Option<Value>, Error> {
        Ok(match self.kind {
            Kind::Text => self.lookup.variable(name).map_err(refused)?.map(Value::from),
            Kind::Json => match self.lookup.variable(name).map_err(refused)? {
                None => None,
                Some(text) => Some(json(name, &text)?),
            },
            Kind::Connection => {
                let found = self.lookup.connection(name).map_err(refused)?;
                found.map(|connection| Value::from_object(ConnectionValue(connection)))
            }
        })
    }
}

fn json(name: &str, text: &str) -> Result<Value, Error> {
    let value: Result<serde_json::Value, _> = serde_json::from_str(text);
    // The error would quote the value.
    let value = value.map_err(|_| refused(format!("the variable {name:?} is not JSON")))?;
    Ok(Value::from(Serde(value)))
}

impl Object for ByName {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key.as_str()?).unwrap_or_else(|error| Some(Value::from(error)))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "get" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (name, given, named): (String, Option<Value>, Kwargs) =
            minijinja::value::from_args(args)?;
        let default = given.or(named.get("default_var")?);
        named.assert_all_used()?;
        Ok(self.get(&name)?.or(default).unwrap_or_else(|| Value::from(())))
    }
}

/// `conn.NAME`, with Airflow's attributes.
#[derive(Debug)]
struct ConnectionValue(Connection);

impl Object for ConnectionValue {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let Connection { conn_type, host, login, password, port, schema, extra } = &self.0;
        let text = |text: &Option<String>| Value::from(text.as_deref());
        Some(match key.as_str()? {
            "conn_type" => Value::from(conn_type.as_str()),
            "host" => text(host),
            "login" => text(login),
            "password" => text(password),
            "port" => Value::from(*port),
            "schema" => text(schema),
            "extra" => Value::from(serde_json::to_string(extra).unwrap_or_default()),
            "extra_dejson" => Value::from(Serde(extra)),
            "uri" => Value::from(self.0.uri()),
            _ => return None,
        })
    }

    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "get_uri" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let () = minijinja::value::from_args(args)?;
        Ok(Value::from(self.0.uri()))
    }
}
