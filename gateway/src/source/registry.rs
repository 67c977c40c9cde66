//! The configured sources by path, and the choice between those that share one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::tmall::Tmall;
use super::{Reading, Request, Source, Statuses};
use crate::config;

/// All sources, by the path they listen on.
pub struct Registry {
    by_path: HashMap<String, PathSources>,
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
        let mut by_path: HashMap<String, PathSources> = HashMap::new();
        for (name, source) in sources {
            let built: Arc<dyn Source> = match &source.kind {
                config::SourceKind::Tmall(tmall) => Arc::new(Tmall::new(name, tmall, statuses)),
            };
            if let Some(sources) = by_path.get_mut(&source.path) {
                sources.others.push(built);
            } else {
                let sources = PathSources {
                    first: built,
                    others: Vec::new(),
                };
                by_path.insert(source.path.clone(), sources);
            }
        }
        Self { by_path }
    }

    /// The source of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<dyn Source>> {
        let mut all = self.by_path.values().flat_map(PathSources::all);
        all.find(|source| source.name() == name)
    }

    /// The sources that listen on `path`, or on the path that differs from it by one slash
    /// at the end: what is pushed there is as authentic, because no path is signed, and would
    /// else be lost for ever.
    pub fn at(&self, path: &str) -> Option<At<'_>> {
        let exact = self.by_path.get_key_value(path);
        let found = exact.or_else(|| match path.strip_suffix('/') {
            Some(shorter) => self.by_path.get_key_value(shorter),
            None => self.by_path.get_key_value(&format!("{path}/")),
        });
        let (configured, sources) = found?;
        Some(At {
            sources,
            configured,
            exact: exact.is_some(),
        })
    }

    /// For which source a request is authentic wherever it was sent, and where that one
    /// listens. Asks a few sources at most: strangers send as well.
    pub fn whose(&self, request: &Request<'_>) -> Option<(&Arc<dyn Source>, &str)> {
        let mut all: Vec<_> = self
            .by_path
            .iter()
            .flat_map(|(path, sources)| sources.all().map(move |source| (source, path.as_str())))
            .collect();
        // The surest first, so that those that are asked are the right ones.
        all.sort_by_cached_key(|(source, _)| std::cmp::Reverse(source.fit(request)));
        all.truncate(SOURCES_ASKED);
        let authentic =
            |source: &Arc<dyn Source>| !matches!(source.read(request), Reading::Refused(_));
        all.into_iter().find(|(source, _)| authentic(source))
    }
}

/// Sources that may verify one request to a path that nobody has.
const SOURCES_ASKED: usize = 4;

/// Where a request came.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The sources there.
    pub sources: &'a PathSources,
    /// Their path, as it is configured.
    pub configured: &'a str,
    /// Whether the request came exactly there.
    pub exact: bool,
}

/// The sources of one path, at least one.
pub struct PathSources {
    first: Arc<dyn Source>,
    others: Vec<Arc<dyn Source>>,
}

impl PathSources {
    /// The first of the sources, by name.
    pub fn first(&self) -> &Arc<dyn Source> {
        &self.first
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Source>> {
        std::iter::once(&self.first).chain(&self.others)
    }

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
        let mut best = (self.first.fit(request), &self.first);
        for source in &self.others {
            let fit = source.fit(request);
            if fit > best.0 {
                best = (fit, source);
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
                quarantine: config::Ceiling::default(),
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
        let (source, reading) = registry.at("/leads")?.sources.read(&Request {
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
    fn one_slash_more_or_less_at_the_end_is_the_same_path() {
        let registry = registry(&[("one", "/leads", None), ("two", "/shop/", None)]);
        let found = |path: &str| {
            let at = registry.at(path)?;
            Some((at.sources.first().name().to_owned(), at.exact))
        };
        assert_eq!(found("/leads"), Some(("one".to_owned(), true)));
        assert_eq!(found("/leads/"), Some(("one".to_owned(), false)));
        assert_eq!(found("/shop"), Some(("two".to_owned(), false)));
        for nowhere in ["/leads//", "/lead", "/", "", "//leads", "/leads/x"] {
            assert_eq!(found(nowhere), None, "{nowhere}");
        }
    }

    #[test]
    fn a_push_for_nobody_here_is_refused() {
        let registry = registry(&[("one", "/leads", Some("1")), ("two", "/leads", Some("2"))]);
        assert_eq!(reader(&registry, "3", "one"), None);
    }
}
