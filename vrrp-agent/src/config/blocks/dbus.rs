//! Keywords of `global_defs` for D-Bus.

use zbus::names::WellKnownName;

use super::super::diagnostic::Diagnostic;
use super::super::syntax::Statement;
use super::super::value;

const NAME: &str = "org.keepalived.Vrrp1";

/// The values read so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    enabled: bool,
    name: Option<String>,
}

impl Draft {
    /// Returns the name to own on the system bus, or `None` if D-Bus is not enabled.
    pub(super) fn finish(self) -> Option<String> {
        self.enabled.then(|| self.name.unwrap_or_else(|| NAME.to_owned()))
    }
}

/// Reads a keyword of `global_defs`. Returns false if the keyword is not about D-Bus.
pub(super) fn read(statement: &Statement, draft: &mut Draft, diagnostics: &mut Vec<Diagnostic>) -> bool {
    match statement.keyword().text.as_str() {
        "enable_dbus" => draft.enabled = true,
        "dbus_service_name" => {
            let Some(word) = value::argument(statement, diagnostics) else { return true };
            match WellKnownName::try_from(word.text.as_str()) {
                Ok(_) => draft.name = Some(word.text.clone()),
                Err(_) => {
                    let label = format!(
                        "expected: words of letters, digits, `_` and `-` with dots between them; {NAME} is used"
                    );
                    let message = "`dbus_service_name` is not a valid name on D-Bus";
                    diagnostics.push(Diagnostic::warning(word.span, message).label(label));
                }
            }
        }
        _ => return false,
    }
    true
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn a_name_on_the_bus() {
        for (global, name, complaints) in [
            ("", None, 0),
            ("enable_dbus", Some("org.keepalived.Vrrp1"), 0),
            ("enable_dbus\ndbus_service_name org.example.lb-1", Some("org.example.lb-1"), 0),
            ("dbus_service_name org.example.lb1", None, 0),
            ("enable_dbus\ndbus_service_name", Some("org.keepalived.Vrrp1"), 1),
            ("enable_dbus\ndbus_service_name lb1", Some("org.keepalived.Vrrp1"), 1),
            ("enable_dbus\ndbus_service_name org.1.x", Some("org.keepalived.Vrrp1"), 1),
        ] {
            let reading = parse(&format!(
                "global_defs {{\n{global}\n}}\nvrrp_instance V {{\ninterface eth0\nvirtual_router_id 1\n\
                 virtual_ipaddress {{\n192.0.2.1\n}}\n}}\n"
            ));
            assert_eq!(reading.diagnostics.len(), complaints, "{global}: {:?}", reading.diagnostics);
            assert_eq!(reading.config.expect("usable").dbus.as_deref(), name, "{global}");
        }
    }
}
