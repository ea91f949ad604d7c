//! The tree of a document, from the events of its YAML.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, StructureStyle, Tag};

use super::documents::{Document, Syntax};
use super::scalar::{self, Plain};
use super::tree::{Node, Pair, Shared, Text, Value};
use super::{Mark, Unreadable};

/// How deep lists and mappings may nest.
const MAX_DEPTH: usize = 100;

/// How many keys a mapping may have: while it is read, each costs more than what `VALUE` counts.
const MAX_KEYS: usize = 10_000;

/// Where the parser gives up. Its own words may quote the file.
const INVALID: &str = "not valid YAML";

/// What a value costs beside its text, and what a pair of a mapping costs beside its value: their
/// bytes in memory.
const VALUE: usize = 32;

/// What an anchor costs besides.
const ANCHOR: usize = 160;

/// The tree of one document; `None` where it holds nothing. What it expands to is taken from
/// `budget`.
pub(super) fn build<'a>(
    document: &Document<'a>,
    budget: &mut usize,
) -> Result<Option<Node<'a>>, Unreadable> {
    let options = granit_parser::options! {
        disallow_directives: true,
        bom_inside_document_as_content: true,
        block_scalar_eof_without_line_feed: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(document.text, options),
        anchors: HashMap::new(),
        document,
        in_flow: false,
        budget,
    };
    let mut found = None;
    loop {
        match builder.next()? {
            (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
            (Event::StreamEnd, _) => return Ok(found),
            (_, at) if found.is_some() => return Err(at.refused("a document that no --- begins")),
            (event, at) => found = Some(builder.node(event, at)?),
        }
    }
}

struct Builder<'a, 'b> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Rc<Shared<'a>>>,
    document: &'b Document<'a>,
    /// Whether this is within `{}` or `[]`.
    in_flow: bool,
    budget: &'b mut usize,
}

/// The pairs of a mapping while it is read, and whether each stands there itself, or comes from a
/// mapping that is merged into this one.
type Pairs<'a> = BTreeMap<Text<'a>, (Node<'a>, bool)>;

impl<'a> Builder<'a, '_> {
    fn next(&mut self) -> Result<(Event<'a>, Mark), Unreadable> {
        let start = self.document.start;
        let at = |marker: &Marker| start.plus(marker.line(), marker.col());
        match self.events.next() {
            Some(Ok((event, span))) => {
                let at = at(&span.start);
                if event.is_node() && self.is_indented_by_a_tab(&span) {
                    return Err(at.refused("a tab where only spaces can indent"));
                }
                Ok((event, at))
            }
            Some(Err(error)) => Err(at(error.marker()).refused(INVALID)),
            None => Err(start.refused(INVALID)),
        }
    }

    /// YAML 1.2 allows it in places, kubectl only within `{}` and `[]`.
    fn is_indented_by_a_tab(&self, span: &Span) -> bool {
        if self.in_flow {
            return false;
        }
        let before = span.start.byte_offset().and_then(|at| self.document.text.get(..at));
        let line = before.and_then(|before| before.rsplit(['\n', '\r']).next()).unwrap_or_default();
        line.contains('\t') && line.trim_start().is_empty()
    }

    /// The node that begins with an event.
    fn node(&mut self, event: Event<'a>, at: Mark) -> Result<Node<'a>, Unreadable> {
        let before = *self.budget;
        self.spend(VALUE, at)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(text.len(), at)?;
                (self.scalar(text, style, tag.as_deref(), at)?, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                untagged(tag.as_deref(), "seq", at)?;
                (self.within(style, Self::sequence)?, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                untagged(tag.as_deref(), "map", at)?;
                (self.within(style, Self::mapping)?, anchor)
            }
            Event::Alias(id) => (self.alias(id, at)?, 0),
            _ => return Err(at.refused(INVALID)),
        };
        let node = Node { at, value };
        if anchor == 0 {
            return Ok(node);
        }
        self.spend(ANCHOR, at)?;
        let shared = Rc::new(Shared { node, cost: before - *self.budget });
        self.anchors.insert(anchor, Rc::clone(&shared));
        Ok(Node { at, value: Value::Shared(shared) })
    }

    /// Reads the inside of a list or mapping.
    fn within<T>(&mut self, style: StructureStyle, inside: fn(&mut Self) -> T) -> T {
        let outside = self.in_flow;
        self.in_flow |= style == StructureStyle::Flow;
        let read = inside(self);
        self.in_flow = outside;
        read
    }

    fn scalar(
        &self,
        text: Cow<'a, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        at: Mark,
    ) -> Result<Value<'a>, Unreadable> {
        untagged(tag, "str", at)?;
        if style == ScalarStyle::Plain {
            self.check_plain(&text, at)?;
        }
        if tag.is_some() || style != ScalarStyle::Plain {
            return Ok(Value::Text(Text(text)));
        }
        Ok(match (self.document.syntax, &*text) {
            (Syntax::Json, "null") => Value::Null,
            (Syntax::Json, "true" | "false") => Value::Bool,
            (Syntax::Json, number) => Value::Number(number.parse().unwrap_or(f64::NAN)),
            (Syntax::Yaml, plain) => match scalar::resolve(plain) {
                Plain::Null => Value::Null,
                Plain::Bool(_) => Value::Bool,
                #[allow(clippy::cast_precision_loss)] // no number is served
                Plain::Integer(value) => Value::Number(value as f64),
                #[allow(clippy::cast_precision_loss)]
                Plain::Unsigned(value) => Value::Number(value as f64),
                Plain::Float(value) if value.is_finite() => Value::Number(value),
                Plain::Float(_) => return Err(at.refused("a number that JSON does not have")),
                Plain::Text => Value::Text(Text(text)),
            },
        })
    }

    /// YAML 1.2 allows these, kubectl does not.
    fn check_plain(&self, text: &str, at: Mark) -> Result<(), Unreadable> {
        if self.in_flow && (text.starts_with(':') || text.contains('?')) {
            return Err(at.refused("a ? or : that has to be quoted within {} and []"));
        }
        Ok(())
    }

    fn sequence(&mut self) -> Result<Value<'a>, Unreadable> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(nodes.into())),
                (event, at) => nodes.push(self.node(event, at)?),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value<'a>, Unreadable> {
        let mut pairs = Pairs::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                let pairs = pairs.into_iter().map(|(key, (node, _))| Pair { key, node });
                return Ok(Value::Map(pairs.collect()));
            }
            let merges = matches!(
                &event,
                Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<"
            );
            let key = self.key(event, at)?;
            let (event, value_at) = self.next()?;
            let inline = !matches!(event, Event::Alias(_));
            let node = self.node(event, value_at)?;
            if merges {
                merge(&mut pairs, &node, inline)?;
            } else if pairs.insert(key, (node, true)).is_some_and(|(_, own)| own) {
                return Err(at.refused("a key that is there twice"));
            }
            if pairs.len() > MAX_KEYS {
                return Err(at.refused("a mapping of more than 10,000 keys"));
            }
        }
    }

    fn key(&mut self, event: Event<'a>, at: Mark) -> Result<Text<'a>, Unreadable> {
        const NO_KEY: &str = "a key that is no text, number or boolean";
        let (text, style, tag) = match event {
            Event::Scalar(text, style, 0, tag) => (text, style, tag),
            // An alias, or what aliases refer to.
            event => match self.node(event, at)?.value() {
                Value::Text(text) => return Ok(text.clone()),
                _ => return Err(at.refused(NO_KEY)),
            },
        };
        self.spend(VALUE + text.len(), at)?;
        untagged(tag.as_deref(), "str", at)?;
        if style != ScalarStyle::Plain {
            return Ok(Text(text));
        }
        self.check_plain(&text, at)?;
        if tag.is_some() {
            return Ok(Text(text));
        }
        scalar::key(text).map(Text).ok_or_else(|| at.refused(NO_KEY))
    }

    fn alias(&mut self, id: usize, at: Mark) -> Result<Value<'a>, Unreadable> {
        let shared = self.anchors.get(&id).cloned();
        let shared = shared.ok_or_else(|| at.refused("an alias within what it stands for"))?;
        self.spend(shared.cost, at)?;
        Ok(Value::Shared(shared))
    }

    fn spend(&mut self, cost: usize, at: Mark) -> Result<(), Unreadable> {
        let left = self.budget.checked_sub(cost);
        *self.budget = left.ok_or_else(|| at.refused("the file expands to too much"))?;
        Ok(())
    }
}

/// Refuses a tag other than the one that says what is so without it.
fn untagged(tag: Option<&Tag>, core: &str, at: Mark) -> Result<(), Unreadable> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema_tag(core) => {
            Err(at.refused("a tag other than !!str, !!map and !!seq"))
        }
        _ => Ok(()),
    }
}

/// Merges what `<<` names, as `yaml.v2` does: it replaces the keys before it.
fn merge<'a>(pairs: &mut Pairs<'a>, node: &Node<'a>, inline: bool) -> Result<(), Unreadable> {
    let mut one = |node: &Node<'a>| {
        let Value::Map(merged) = node.value() else {
            return Err(node.refused("only mappings can be merged by <<"));
        };
        for Pair { key, node } in merged {
            let own = pairs.get(key).is_some_and(|(_, own)| *own);
            pairs.insert(key.clone(), (node.clone(), own));
        }
        Ok(())
    };
    match node.value() {
        // The first takes precedence.
        Value::List(nodes) if inline => nodes.iter().rev().try_for_each(one),
        _ => one(node),
    }
}
