//! Numbers and switches.

use serde_json::json;

use crate::setting::declaration::{Shape, ValueType};
use crate::setting::tree::Value;

/// `true` or `false`.
pub const SWITCH: ValueType<bool> = ValueType {
    shape: Shape::Leaf(|| json!({ "type": "boolean" })),
    read: |input| match input.node.value {
        Value::Boolean(boolean) => Some(boolean),
        _ => {
            let name = input.name();
            input
                .wrong_kind("true or false")
                .help(format!("write `{name} = true` or `{name} = false`"));
            None
        }
    },
};

/// Calls a second.
pub const RATE: ValueType<f64> = ValueType {
    shape: Shape::Leaf(|| json!({ "type": "number", "exclusiveMinimum": 0 })),
    read: |input| {
        #[allow(clippy::cast_precision_loss)] // a rate of 2^53 is none
        let rate = match input.node.value {
            Value::Integer(Some(number)) => number as f64,
            Value::Float(Some(number)) => number,
            _ => f64::NAN,
        };
        if rate.is_finite() && rate > 0.0 {
            return Some(rate);
        }
        let help = format!("write calls a second, such as `{} = 100`", input.name());
        input.wrong("must be a number above 0").help(help);
        None
    },
};
