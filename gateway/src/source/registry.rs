//! The configured sources by path, and the choice between those that share one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::tmall::Tmall;
use super::{Reading, Request, Source};
use crate::config;

/// All sources, by the path they listen on.
pub struct Registry {
    groups: HashMap<String, Group>,
}

impl Registry {
    /// Builds the configured sources. `server` says with which status they answer.
    pub fn new(sources: &BTreeMap<String, config::Source>, server: &config::Server) -> Self {
        let mut groups: HashMap<String, Group> = HashMap::new();
        for (name, source) in sources {
            let built: Arc<dyn Source> = match &source.kind {
                config::SourceKind::Tmall(tmall) => Arc::new(Tmall::new(name, tmall, server)),
            };
            match groups.get_mut(&source.path) {
                Some(group) => group.others.push(built),
                None => {
                    let others = Vec::new();
                    groups.insert(
                        source.path.clone(),
                        Group {
                            first: built,
                            others,
                        },
                    );
                }
            }
        }
        Self { groups }
    }

    /// The sources that listen on `path`.
    pub fn at(&self, path: &str) -> Option<&Group> {
        self.groups.get(path)
    }
}

/// The sources of one path, at least one.
pub struct Group {
    first: Arc<dyn Source>,
    others: Vec<Arc<dyn Source>>,
}

impl Group {
    /// Reads a push by the source it is meant for. If it is meant for none, the first
    /// source, by name, is asked, and refuses it.
    pub fn read(&self, request: &Request<'_>) -> (Arc<dyn Source>, Reading) {
        let source = self.choose(request);
        let reading = source.read(request);
        (Arc::clone(source), reading)
    }

    fn choose(&self, request: &Request<'_>) -> &Arc<dyn Source> {
        if self.others.is_empty() {
            return &self.first;
        }
        let mut best = (self.first.claim(request), &self.first);
        for source in &self.others {
            let claim = source.claim(request);
            if claim > best.0 {
                best = (claim, source);
            }
        }
        best.1
    }
}
