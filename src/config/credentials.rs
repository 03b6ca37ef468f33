//! The locations of the rotator's own credentials, and the order in which the sources that hold some of them are
//! built.
//!
//! Every reference is recorded when it is read, in whichever table it stands, so that no table and no kind of source
//! has to list its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::credential::SecretRef;
use crate::model::{ProviderId, ReceiverId, SourceId};
use crate::setting::diagnostics::{Diagnostics, Reference};

/// The service that a secret opens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// The state.
    State,
    /// Flashback.
    Flashback,
    /// A source.
    Source(SourceId),
    /// A provider.
    Provider(ProviderId),
    /// A receiver of notifications.
    Receiver(ReceiverId),
    /// What is asked of the HTTP server.
    Http,
}

/// Formats it as the table that the reference stands in.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flashback => f.write_str("[flashback.auth]"),
            Self::State => f.write_str("[state]"),
            Self::Source(id) => write!(f, "[sources.{id}.auth]"),
            Self::Provider(id) => write!(f, "[providers.{id}]"),
            Self::Http => f.write_str("[http]"),
            Self::Receiver(id) => write!(f, "[notify.{id}]"),
        }
    }
}

/// The references that have been read, each with the service that it opens.
pub type Held = Vec<(Owner, Reference)>;

/// Every secret reference of a configuration.
#[derive(Clone, Debug, Default)]
pub struct CredentialPlan {
    references: Vec<(Owner, SecretRef)>,
    order: Vec<SourceId>,
}

impl CredentialPlan {
    /// Makes the plan. Reports a source that needs itself to sign in, directly or by way of other sources.
    pub fn new(mut held: Held, diagnostics: &mut Diagnostics) -> Self {
        held.sort_by(|(a, _), (b, _)| a.cmp(b));
        let needs = Needs::new(&held);
        needs.report_cycles(diagnostics);
        let order = needs.order();
        let references = held.into_iter();
        Self {
            references: references
                .map(|(owner, reference)| (owner, reference.secret))
                .collect(),
            order,
        }
    }

    /// Returns every reference with the service that it opens.
    pub fn references(&self) -> &[(Owner, SecretRef)] {
        &self.references
    }

    /// Returns the sources that hold credentials of `owner`.
    pub fn sources_of(&self, owner: &Owner) -> impl Iterator<Item = &SourceId> {
        let of_owner = self.references.iter().filter(move |(of, _)| of == owner);
        of_owner.filter_map(|(_, reference)| reference.source())
    }

    /// Puts sources in an order in which each comes after those that hold its credentials.
    pub fn in_order<'a>(&'a self, all: impl Iterator<Item = &'a SourceId>) -> Vec<&'a SourceId> {
        let others = all.filter(|id| !self.order.contains(id));
        self.order.iter().chain(others).collect()
    }
}

/// The references to other sources in the table of each source that has any.
struct Needs<'a>(BTreeMap<&'a SourceId, Vec<&'a Reference>>);

impl<'a> Needs<'a> {
    fn new(held: &'a Held) -> Self {
        let mut needs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (owner, reference) in held {
            if let (Owner::Source(id), Some(_)) = (owner, reference.secret.source()) {
                needs.entry(id).or_default().push(reference);
            }
        }
        Self(needs)
    }

    fn of(&self, id: &SourceId) -> &[&'a Reference] {
        self.0.get(id).map(Vec::as_slice).unwrap_or_default()
    }

    fn report_cycles(&self, diagnostics: &mut Diagnostics) {
        for (id, needs) in &self.0 {
            // Follows the references from each source until they end or lead back to it.
            let mut open: Vec<_> = needs.iter().map(|first| (*first, *first)).collect();
            let mut seen = BTreeSet::new();
            while let Some((first, reference)) = open.pop() {
                let (Some(needed), Some((span, _))) = (reference.secret.source(), first.spans)
                else {
                    continue;
                };
                if needed == *id {
                    let message = match std::ptr::eq(first, reference) {
                        true => "this source needs itself to sign in",
                        false => "this source needs itself to sign in, by way of another source",
                    };
                    diagnostics
                        .mistake(span, message)
                        .help("keep this credential outside of the sources that wait for it: `{ env = \"NAME\" }`, `{ file = \"PATH\" }` or `{ credential = \"NAME\" }`");
                    break;
                }
                if seen.insert(needed) {
                    open.extend(self.of(needed).iter().map(|next| (first, *next)));
                }
            }
        }
    }

    /// Returns the sources that need others and those that they need, each after those that it needs.
    fn order(&self) -> Vec<SourceId> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for id in self.0.keys() {
            self.visit(id, &mut seen, &mut order);
        }
        order
    }

    fn visit(
        &self,
        id: &'a SourceId,
        seen: &mut BTreeSet<&'a SourceId>,
        order: &mut Vec<SourceId>,
    ) {
        if seen.insert(id) {
            for needed in self.of(id).iter().filter_map(|need| need.secret.source()) {
                self.visit(needed, seen, order);
            }
            order.push(id.clone());
        }
    }
}
