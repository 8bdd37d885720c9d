//! Reads the JSON objects of a block, one a line, into columns by path.

use std::collections::HashMap;

use crate::intern::Interner;
use crate::json_columns::{Column, Rule, Value};
use crate::json_scan::Scanner;

/// What is known of a member before it is read.
pub enum Kind {
    Parent,
    Value(Rule),
    Kept(Rule),
}

/// The members that are known, each path after those of the objects around it.
pub struct Known {
    pub members: Vec<(Vec<String>, Kind)>,
    /// Whether the values of other members are read, but for those inside kept parents.
    pub others: bool,
}

/// Objects and arrays may be nested so deeply.
const LEVELS: usize = 32;
/// Columns may take so many times the bytes of a block.
const GROWTH: usize = 16;
const ALWAYS_ALLOWED: usize = 1 << 20;
const COLUMN_BYTES: usize = 4096;
const ROW_BYTES: usize = 12;
const NAME_BYTES: usize = 128;

/// What becomes of the values of a member.
#[derive(Clone, Copy)]
enum Target {
    Skipped,
    Parent(usize),
    Column(usize),
    /// A parent that is kept as it is written as well, in this column.
    Kept(usize, usize),
}

struct Member {
    /// The name, and the quote and colon that usually follow it.
    begins: Vec<u8>,
    target: Target,
    /// The record it was in last, from 1.
    record: usize,
    /// The member that followed it last.
    next: usize,
    /// Place in the order in which members first appeared.
    order: usize,
}

/// An object whose members are values of their own.
#[derive(Default)]
struct Parent {
    names: Interner,
    members: Vec<Member>,
    first: usize,
    /// Whether the values of members that are not known are read.
    others: bool,
}

/// The columns of a block, while it is read.
pub struct Block<'a> {
    scanner: Scanner<'a>,
    parents: Vec<Parent>,
    columns: Vec<Column>,
    records: usize,
    record: usize,
    seen: usize,
    allowed: usize,
}

impl<'a> Block<'a> {
    pub fn new(data: &'a [u8], records: usize, known: &Known) -> Self {
        let mut block = Block {
            scanner: Scanner::new(data),
            parents: vec![Parent { others: known.others, ..Parent::default() }],
            columns: Vec::new(),
            records,
            record: 0,
            seen: 0,
            allowed: data.len() * GROWTH + ALWAYS_ALLOWED,
        };
        let mut places = HashMap::from([(&[] as &[String], 0)]);
        for (path, kind) in &known.members {
            let Some((name, above)) = path.split_last() else { continue };
            let Some(&parent) = places.get(above) else { continue };
            let (object, column) = (block.parents.len(), block.columns.len());
            let others = block.parents[parent].others;
            let target = match kind {
                Kind::Parent => Target::Parent(object),
                Kind::Value(_) => Target::Column(column),
                Kind::Kept(_) => Target::Kept(object, column),
            };
            if let Kind::Value(rule) | Kind::Kept(rule) = kind {
                block.columns.push(Column::new(*rule));
            }
            if let Target::Parent(object) | Target::Kept(object, _) = target {
                let others = others && matches!(kind, Kind::Parent);
                block.parents.push(Parent { others, ..Parent::default() });
                places.insert(path, object);
            }
            let names = &mut block.parents[parent].names;
            if names.code(name.as_bytes()) as usize == names.len() - 1 {
                block.add(parent, name.as_bytes(), target);
            }
        }
        block
    }

    fn add(&mut self, parent: usize, name: &[u8], target: Target) {
        let mut begins = name.to_vec();
        begins.extend_from_slice(b"\":");
        let member = Member { begins, target, record: 0, next: 0, order: usize::MAX };
        self.parents[parent].members.push(member);
    }

    /// Reads all records; None unless there are no more bytes, and each is as expected.
    pub fn read(&mut self) -> Option<()> {
        for record in 1..=self.records {
            self.record = record;
            self.scanner.expect(b'{')?;
            self.object(0, LEVELS - 1)?;
            if record < self.records || self.scanner.peek() != 0 {
                self.scanner.expect(b'\n')?;
            }
        }
        self.scanner.is_done().then_some(())
    }

    /// Reads the members of an object whose brace is passed.
    fn object(&mut self, parent: usize, levels: usize) -> Option<()> {
        self.scanner.blanks();
        if self.scanner.peek() == b'}' {
            self.scanner.at += 1;
            return Some(());
        }
        let mut before = None;
        loop {
            self.scanner.expect(b'"')?;
            let place = self.member(parent, before)?;
            before = Some(place);
            let member = &mut self.parents[parent].members[place];
            if member.record == self.record {
                return None;
            }
            if member.record == 0 {
                member.order = self.seen;
                self.seen += 1;
            }
            member.record = self.record;
            let target = member.target;
            self.value(target, levels)?;
            if !self.scanner.another(b'}')? {
                return Some(());
            }
        }
    }

    /// Passes a name with its colon and returns the member's place: mostly the one that followed last time.
    #[inline]
    fn member(&mut self, parent: usize, before: Option<usize>) -> Option<usize> {
        let Parent { names, members, first, .. } = &mut self.parents[parent];
        let guess = before.map_or(*first, |place| members[place].next);
        if members.get(guess).is_some_and(|member| self.scanner.passes(&member.begins)) {
            self.scanner.blanks();
            return Some(guess);
        }
        let name = self.scanner.text()??;
        self.scanner.colon()?;
        let place = names.code(name) as usize;
        match before {
            Some(before) => members[before].next = place,
            None => *first = place,
        }
        if place == members.len() {
            self.learn(parent, name)?;
        }
        Some(place)
    }

    /// Adds a member that is not known yet; None if that takes too much memory.
    fn learn(&mut self, parent: usize, name: &[u8]) -> Option<()> {
        let mut bytes = NAME_BYTES + 2 * name.len();
        let mut target = Target::Skipped;
        if self.parents[parent].others {
            bytes += COLUMN_BYTES + self.records * ROW_BYTES;
            target = Target::Column(self.columns.len());
            self.columns.push(Column::new(Rule::default()));
        }
        self.allowed = self.allowed.checked_sub(bytes)?;
        self.add(parent, name, target);
        Some(())
    }

    #[inline]
    fn value(&mut self, target: Target, levels: usize) -> Option<()> {
        let start = self.scanner.at;
        let column = match (target, self.scanner.peek()) {
            (Target::Skipped, _) => return self.scanner.skip(levels),
            (Target::Parent(parent), b'{') => {
                self.scanner.at += 1;
                return self.object(parent, levels.checked_sub(1)?);
            }
            (Target::Parent(_), _) => return self.scanner.passes(b"null").then_some(()),
            (Target::Kept(parent, column), b'{') => {
                self.scanner.at += 1;
                self.object(parent, levels.checked_sub(1)?)?;
                let text = Value::Nested(self.scanner.since(start)?);
                return self.columns[column].push(self.record - 1, self.records, text);
            }
            (Target::Kept(_, column) | Target::Column(column), _) => &mut self.columns[column],
        };
        let scanner = &mut self.scanner;
        let value = match scanner.peek() {
            b'"' => {
                scanner.at += 1;
                match scanner.text()? {
                    Some(text) => Value::Text(text),
                    None => Value::Text(&scanner.plain),
                }
            }
            b'{' | b'[' => Value::Nested(scanner.nested(levels)?),
            b'n' => return scanner.passes(b"null").then_some(()),
            b't' => scanner.passes(b"true").then_some(Value::Bool(true))?,
            b'f' => scanner.passes(b"false").then_some(Value::Bool(false))?,
            _ => Value::Number(scanner.number()?),
        };
        column.push(self.record - 1, self.records, value)
    }

    /// Returns the columns that have values by path, in the order in which members first appeared.
    pub fn into_columns(mut self) -> Vec<(Vec<String>, Column)> {
        let mut paths = Vec::new();
        self.gather(0, &[], &mut paths);
        let columns = paths.into_iter().filter_map(|(path, place)| {
            let mut column = std::mem::take(&mut self.columns[place]);
            column.finish(self.records).then_some((path, column))
        });
        columns.collect()
    }

    /// Adds the columns below an object to those found, in the order in which members first appeared.
    fn gather(&self, parent: usize, above: &[&str], into: &mut Vec<(Vec<String>, usize)>) {
        let mut members: Vec<&Member> =
            self.parents[parent].members.iter().filter(|member| member.record > 0).collect();
        members.sort_by_key(|member| member.order);
        for member in members {
            let name = &member.begins[..member.begins.len() - 2];
            let Ok(name) = std::str::from_utf8(name) else { continue };
            let path = [above, &[name]].concat();
            match member.target {
                Target::Skipped | Target::Parent(_) => {}
                Target::Column(column) | Target::Kept(_, column) => {
                    into.push((path.iter().map(|name| name.to_string()).collect(), column));
                }
            }
            if let Target::Parent(below) | Target::Kept(below, _) = member.target {
                self.gather(below, &path, into);
            }
        }
    }
}
