//! The configured sources by path, and the choice between those that share one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::tmall::Tmall;
use super::{Reading, Request, Source, Statuses};
use crate::config;

/// All sources, by the path they listen on.
pub struct Registry {
    groups: HashMap<String, Group>,
}

impl Registry {
    /// Builds the configured sources. `server` says with which status they answer.
    pub fn new(sources: &BTreeMap<String, config::Source>, server: &config::Server) -> Self {
        let statuses = Statuses {
            refusal: server.refusal_status,
            failure: server.failure_status,
        };
        Self::build(sources, statuses)
    }

    fn build(sources: &BTreeMap<String, config::Source>, statuses: Statuses) -> Self {
        let mut groups: HashMap<String, Group> = HashMap::new();
        for (name, source) in sources {
            let built: Arc<dyn Source> = match &source.kind {
                config::SourceKind::Tmall(tmall) => Arc::new(Tmall::new(name, tmall, statuses)),
            };
            if let Some(group) = groups.get_mut(&source.path) {
                group.others.push(built);
            } else {
                let group = Group {
                    first: built,
                    others: Vec::new(),
                };
                groups.insert(source.path.clone(), group);
            }
        }
        Self { groups }
    }

    /// The source of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Source>> {
        let all = self.groups.values();
        all.flat_map(|group| std::iter::once(&group.first).chain(&group.others))
            .find(|source| source.name() == name)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lead::SAMPLE;
    use crate::source::tmall::tests::settings;
    use crate::source::tmall::{PushParts, signed_push};

    const NOW: i64 = 1_795_460_115_000;

    fn registry(sources: &[(&str, &str, Option<&str>)]) -> Registry {
        let source = |(name, path, app_key): &(&str, &str, Option<&str>)| {
            let tmall = config::Tmall {
                app_key: app_key.map(str::to_owned),
                ..settings(&format!("secret of {name}"))
            };
            let source = config::Source {
                path: (*path).to_owned(),
                kind: config::SourceKind::Tmall(tmall),
            };
            ((*name).to_owned(), source)
        };
        let statuses = Statuses {
            refusal: 200,
            failure: 500,
        };
        Registry::build(&sources.iter().map(source).collect(), statuses)
    }

    /// Which source read a push of `app_key`, signed by `signer`; `None` if it was refused.
    fn reader(registry: &Registry, app_key: &str, signer: &str) -> Option<String> {
        let push = signed_push(&PushParts {
            app_key,
            secret: &format!("secret of {signer}"),
            method: None,
            now: NOW,
            body: SAMPLE.as_bytes(),
        });
        let header = |name: &str| (name == "content-type").then_some(push.content_type.as_bytes());
        let (source, reading) = registry.at("/leads")?.read(&Request {
            method: "POST",
            query: &push.query,
            header: &header,
            body: push.body.clone().into(),
            received_at: NOW,
        });
        match reading {
            Reading::Lead(push) => {
                assert_eq!(push.source, source.name());
                Some(push.source)
            }
            _ => None,
        }
    }

    #[test]
    fn sources_on_one_path_are_told_apart_by_their_app_key() {
        let registry = registry(&[
            ("any", "/leads", None),
            ("one", "/leads", Some("1")),
            ("two", "/leads", Some("2")),
            ("elsewhere", "/other", Some("3")),
        ]);
        for (app_key, name) in [("1", "one"), ("2", "two"), ("3", "any")] {
            assert_eq!(reader(&registry, app_key, name).as_deref(), Some(name));
            assert_eq!(reader(&registry, app_key, "elsewhere"), None);
        }
        assert!(registry.at("/nowhere").is_none());
    }

    #[test]
    fn a_push_for_nobody_here_is_refused() {
        let registry = registry(&[("one", "/leads", Some("1")), ("two", "/leads", Some("2"))]);
        assert_eq!(reader(&registry, "3", "one"), None);
    }
}
