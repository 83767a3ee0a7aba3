//! The border: one call for all messages of a read of the socket.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyFrozenSet, PyList, PyString, PyTuple};

use crate::events::{events, Encoding, Told};
use crate::frame::{fits, frame, Frame, Last, MAX_FRAME};
use crate::lend::{self, State};
use crate::memory::{digest, Conversation, Known, Leg, Memory};
use crate::murmur::spread;
use crate::rules::{self, transitions, Hashes};
use crate::scan::{Odd, Take};
use crate::times::Time;
use crate::transition::KINDS;

/// Source topics whose header is kept.
const MAX_SOURCES: usize = 50_000;

/// Reads messages and remembers their conversations. Belongs to one thread.
#[pyclass(module = "interaction_mirror_native")]
pub struct Reader {
    memory: Memory,
    interruptions: u64,
    recorder: Recorder,
    elsewhere: Py<PyAny>,
    breaks: bool,
    /// Frames whose reading broke off by an error of this crate.
    #[pyo3(get)]
    failures: u64,
    /// Frames that were left to Python.
    #[pyo3(get)]
    refused: u64,
}

/// Makes records. What is the same for many is made once and shared.
struct Recorder {
    encoding: Encoding,
    buffer: Vec<u8>,
    spec: Py<PyAny>,
    types: Vec<Py<PyAny>>,
    live: Py<PyAny>,
    snapshot: Py<PyAny>,
    content_type: Py<PyAny>,
    schema: Option<Py<PyAny>>,
    names: [Py<PyString>; 2],
    prefix: String,
    sources: HashMap<String, Py<PyAny>>,
}

/// What a frame came to.
enum Outcome {
    Taken,
    Refused,
    Failed,
}

#[pymethods]
impl Reader {
    /// `content_type` and `schema` are headers of every record. `elsewhere(id)` says whether Python
    /// remembers a conversation; `grace` is in seconds.
    #[new]
    #[pyo3(signature = (*, region, encoding, content_type, schema, most, grace, elsewhere))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        region: &str,
        encoding: &str,
        content_type: Py<PyAny>,
        schema: Option<Py<PyAny>>,
        most: usize,
        grace: f64,
        elsewhere: Py<PyAny>,
    ) -> PyResult<Self> {
        let encoding = match encoding {
            "json" => Encoding::Json,
            "msgpack" => Encoding::Msgpack,
            _ => return Err(PyValueError::new_err("encoding is json or msgpack")),
        };
        Ok(Reader {
            memory: Memory::new(most, grace),
            interruptions: 0,
            recorder: Recorder {
                encoding,
                buffer: Vec::new(),
                spec: header(py, "ce_specversion", "1.0")?,
                types: KINDS
                    .iter()
                    .map(|kind| header(py, "ce_type", &format!("genesys.interaction.{kind}")))
                    .collect::<PyResult<_>>()?,
                live: header(py, "ce_origin", "live")?,
                snapshot: header(py, "ce_origin", "snapshot")?,
                content_type,
                schema,
                names: [
                    PyString::intern(py, "ce_id").unbind(),
                    PyString::intern(py, "ce_time").unbind(),
                ],
                prefix: format!("/genesys/{region}/"),
                sources: HashMap::new(),
            },
            elsewhere,
            breaks: false,
            failures: 0,
            refused: 0,
        })
    }

    /// Frames may have been missed.
    fn interrupted(&mut self) {
        self.interruptions += 1;
    }

    /// Reads the messages from `start` on, as far as it is certain of them.
    ///
    /// Gives `(value, key, headers, spread of the key)` of each record, and the place of the message that it left to
    /// Python, or behind the last one. `received_at` is RFC 3339, `now` monotonic seconds.
    fn read<'py>(
        &mut self,
        py: Python<'py>,
        messages: &Bound<'py, PyList>,
        start: usize,
        received_at: &str,
        now: f64,
    ) -> PyResult<(Bound<'py, PyList>, usize)> {
        let records = PyList::empty(py);
        self.memory.tidy(now);
        let mut at = start;
        while at < messages.len() {
            let message = messages.get_item(at)?;
            // Only what is bytes itself: all else is no message of text.
            let Ok(raw) = message.cast_exact::<PyBytes>() else {
                break;
            };
            let raw = raw.as_bytes();
            let outcome = self.take_frame(py, raw, received_at, now, &records);
            match outcome {
                Outcome::Taken => at += 1,
                Outcome::Refused => {
                    self.refused += 1;
                    break;
                }
                Outcome::Failed => {
                    self.failures += 1;
                    break;
                }
            }
        }
        Ok((records, at))
    }

    /// Lends a conversation to Python, null where there is none; it is forgotten here.
    fn take(&mut self, py: Python<'_>, id: &str) -> Option<State> {
        let mut conversation = self.memory.remove(id)?;
        digest(&mut conversation.known, &conversation.body, &Python_ { py });
        Some(lend::state(conversation))
    }

    /// Takes a conversation back from Python; whether it can be held here.
    fn put(&mut self, id: &str, state: State) -> bool {
        match lend::conversation(state) {
            Ok(conversation) if self.memory.place(id).is_none() => {
                self.memory.insert(id, conversation);
                true
            }
            _ => false,
        }
    }

    fn __len__(&self) -> usize {
        self.memory.len()
    }

    fn __contains__(&self, id: &str) -> bool {
        self.memory.place(id).is_some()
    }

    /// Makes the next frame break off amid its reading: for tests.
    fn break_next(&mut self) {
        self.breaks = true;
    }
}

impl Reader {
    /// Reads one frame. Whatever breaks in here stays in here.
    fn take_frame(
        &mut self,
        py: Python<'_>,
        raw: &[u8],
        received_at: &str,
        now: f64,
        records: &Bound<'_, PyList>,
    ) -> Outcome {
        let count = records.len();
        // The id of the conversation that is being changed: dropped where that breaks off.
        let changing = Cell::new("");
        let work = AssertUnwindSafe(|| self.frame(py, raw, received_at, now, records, &changing));
        let outcome = catch_unwind(work).unwrap_or(Ok(Outcome::Failed));
        match outcome {
            Ok(Outcome::Taken) => Outcome::Taken,
            Err(Odd) if changing.get().is_empty() => Outcome::Refused,
            _ => {
                self.memory.remove(changing.get());
                for place in (count..records.len()).rev() {
                    if records.del_item(place).is_err() {
                        break;
                    }
                }
                Outcome::Failed
            }
        }
    }

    fn frame<'a>(
        &mut self,
        py: Python<'_>,
        raw: &'a [u8],
        received_at: &str,
        now: f64,
        records: &Bound<'_, PyList>,
        changing: &Cell<&'a str>,
    ) -> Take<Outcome> {
        if raw.len() > MAX_FRAME {
            return Err(Odd);
        }
        let text = simdutf8::basic::from_utf8(raw).map_err(|_| Odd)?;
        let python = Python_ { py };
        let place = Cell::new(None);
        let read = frame(
            text,
            &Remembered {
                place: &place,
                memory: &self.memory,
                interruptions: self.interruptions,
                elsewhere: self.elsewhere.bind(py),
                python: &python,
            },
        )?;
        let place = place.get();
        if !fits(place.and_then(|place| self.memory.at(place)), &read.pieces) {
            return Err(Odd);
        }
        // From here on memory is changed, and nothing is refused any more.
        changing.set(read.id);
        let mut new = None;
        let conversation = match place {
            Some(place) => self.memory.at_mut(place).ok_or(Odd)?,
            None => new.insert(Conversation::new(self.interruptions)),
        };
        conversation.last_frame = now;
        let found = transitions(conversation, &read, self.interruptions, &python)?;
        if std::mem::take(&mut self.breaks) {
            let nothing: &[u8] = &[];
            let _ = nothing[raw.len()];
        }
        if !found.told.is_empty() {
            let recorder = &mut self.recorder;
            let (encoding, buffer) = (recorder.encoding, &mut recorder.buffer);
            let told = events(conversation, &read, &found, received_at, encoding, buffer);
            let made = recorder.records(py, &read, told, received_at, records);
            made.map_err(|_| Odd)?;
        }
        let place = match (place, new) {
            (Some(place), _) => {
                self.memory.touch(place);
                place
            }
            (None, Some(conversation)) => self.memory.insert(read.id, conversation),
            (None, None) => return Err(Odd),
        };
        if read.is_new {
            self.memory.keep_body(place, read.body, &python);
        }
        Ok(Outcome::Taken)
    }
}

impl Recorder {
    fn records(
        &mut self,
        py: Python<'_>,
        frame: &Frame<'_>,
        told: Vec<Told>,
        received_at: &str,
        records: &Bound<'_, PyList>,
    ) -> PyResult<()> {
        let key = PyString::new(py, frame.id);
        let spread = spread(frame.id).into_pyobject(py)?;
        let source = self.source(py, frame.topic)?;
        for one in told {
            let occurred_at = one.at.as_ref().map_or(received_at.as_bytes(), Time::bytes);
            let id = PyString::from_bytes(py, one.event_id.bytes())?;
            let id = (self.names[0].bind(py), id).into_pyobject(py)?;
            let time = PyString::from_bytes(py, occurred_at)?;
            let time = (self.names[1].bind(py), time).into_pyobject(py)?;
            let origin = if one.is_snapshot {
                &self.snapshot
            } else {
                &self.live
            };
            let headers = PyList::new(
                py,
                [
                    self.spec.bind(py),
                    id.as_any(),
                    self.types[one.kind.place()].bind(py),
                    source.bind(py),
                    time.as_any(),
                    origin.bind(py),
                    self.content_type.bind(py),
                ],
            )?;
            if let Some(schema) = &self.schema {
                headers.append(schema.bind(py))?;
            }
            let value = PyBytes::new(py, &self.buffer[one.value]);
            let record = [
                value.as_any(),
                key.as_any(),
                headers.as_any(),
                spread.as_any(),
            ];
            records.append(PyTuple::new(py, record)?)?;
        }
        Ok(())
    }

    fn source(&mut self, py: Python<'_>, topic: &str) -> PyResult<Py<PyAny>> {
        if let Some(found) = self.sources.get(topic) {
            return Ok(found.clone_ref(py));
        }
        if self.sources.len() >= MAX_SOURCES {
            self.sources.clear();
        }
        let made = header(py, "ce_source", &format!("{}{topic}", self.prefix))?;
        self.sources.insert(topic.to_owned(), made.clone_ref(py));
        Ok(made)
    }
}

/// A header that many records share. Its value is bytes, which the producer takes as they are.
fn header(py: Python<'_>, name: &str, value: &str) -> PyResult<Py<PyAny>> {
    let value = PyBytes::new(py, value.as_bytes());
    Ok((name, value).into_pyobject(py)?.into_any().unbind())
}

/// Python's hashes: what they are of crosses the border.
struct Python_<'py> {
    py: Python<'py>,
}

impl Hashes for Python_<'_> {
    fn of_bytes(&self, bytes: &[u8]) -> Take<i64> {
        let hash = PyBytes::new(self.py, bytes).hash().map_err(|_| Odd)?;
        Ok(hash as i64)
    }

    fn of_legs(&self, legs: &[&Leg]) -> Take<i64> {
        let hash = || -> PyResult<isize> {
            let keys = legs
                .iter()
                .map(|leg| (&*leg.participant_id, &*leg.communication_id).into_pyobject(self.py))
                .collect::<PyResult<Vec<_>>>()?;
            PyFrozenSet::new(self.py, keys)?.hash()
        };
        hash().map(|hash| hash as i64).map_err(|_| Odd)
    }
}

/// What is known of the conversation of a frame.
struct Remembered<'m, 'py> {
    memory: &'m Memory,
    /// Where it is, once the frame was asked for.
    place: &'m Cell<Option<u32>>,
    interruptions: u64,
    elsewhere: &'m Bound<'py, PyAny>,
    python: &'m Python_<'py>,
}

impl Last for Remembered<'_, '_> {
    fn known(&self, id: &str) -> Take<(&[Known], &[u8])> {
        self.place.set(self.memory.place(id));
        if let Some(place) = self.place.get() {
            let conversation = self.memory.at(place).ok_or(Odd)?;
            return Ok(rules::last(conversation, self.interruptions));
        }
        let is_elsewhere = self
            .elsewhere
            .call1((id,))
            .and_then(|told| told.is_truthy());
        if is_elsewhere.map_err(|_| Odd)? {
            return Err(Odd);
        }
        Ok((&[], &[]))
    }

    fn hash(&self, bytes: &[u8]) -> Take<i64> {
        self.python.of_bytes(bytes)
    }
}
