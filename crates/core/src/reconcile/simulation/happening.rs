//! The events between two checks.

use super::*;

/// One of them.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    Rotate {
        value: u8,
    },
    /// The current version in the source is set back to a previous one.
    RollBack {
        to: usize,
    },
    DeleteSecret,
    /// A previous version cannot be read any more.
    Prune {
        version: usize,
    },
    DeleteConfiguration,
    /// Another user changes name or endpoint in Flashback of a configuration whose id is known. One whose creation was
    /// not answered is found by its name alone, and would be lost.
    EditConfiguration {
        name: u8,
        endpoint: u8,
    },
    /// A replica that had lost the key writes this value all the same, and says so.
    LateWrite {
        value: u8,
    },
    /// Another user writes this value into what holds the key.
    Overwrite {
        value: u8,
    },
    Rename {
        name: u8,
    },
    /// The configuration names another field of the same secret.
    OtherField {
        field: u8,
    },
    /// The providers take this value no more, or again.
    Revoke {
        value: u8,
    },
    Restore {
        value: u8,
    },
    Wait {
        seconds: u32,
    },
    /// The process is started anew, or its configuration reloaded.
    Start,
    Look {
        faults: Vec<Fault>,
        dies_after: Option<usize>,
        command: KeyCommand,
    },
}

impl Simulation {
    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Rotate { value } => {
                self.versions.push(value);
                self.current = Some(self.versions.len() - 1);
            }
            Happening::RollBack { to } => {
                let to = to % self.versions.len();
                self.pruned.remove(&to);
                self.current = Some(to);
            }
            Happening::DeleteSecret => self.current = None,
            Happening::Prune { version } => {
                self.pruned.insert(version % self.versions.len());
            }
            Happening::DeleteConfiguration => self.configurations.clear(),
            Happening::EditConfiguration { name, endpoint } => {
                let known = self.record.ai_llm_id.as_ref();
                for one in self
                    .configurations
                    .iter_mut()
                    .filter(|one| Some(&one.id) == known)
                {
                    one.settings = Settings {
                        endpoint: format!("https://{endpoint}.example.com"),
                        ..named(name)
                    };
                }
            }
            Happening::LateWrite { value } => {
                for one in &mut self.configurations {
                    one.value = value;
                }
                let number = self.record.repair.map_or(0, |repair| repair.number) + 1;
                self.record.repair = Some(Repair {
                    number,
                    due_in: Duration::ZERO,
                    done: false,
                });
            }
            Happening::Overwrite { value } => {
                for one in &mut self.configurations {
                    one.value = value;
                }
                if !self.configurations.is_empty() {
                    self.tells("somebody", false);
                }
            }
            Happening::Rename { name } => self.settings = named(name),
            Happening::OtherField { field: number } => self.origin = field(number),
            Happening::Revoke { value } => {
                self.revoked.insert(value);
            }
            Happening::Restore { value } => {
                self.revoked.remove(&value);
            }
            Happening::Wait { seconds } => self.now += TimeDelta::seconds(seconds.into()),
            Happening::Start => self.rules.since = self.now,
            Happening::Look {
                faults,
                dies_after,
                command,
            } => {
                let _ = self.look(&faults, dies_after, command);
            }
        }
    }
}
