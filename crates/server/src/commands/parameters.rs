//! What transfers and listings are like: TYPE, MODE, STRU, REST, RANG, OPTS.

use waft_proto::arguments::{
    Representation, TransferMode, parse_deflate_level, parse_mode, parse_offset, parse_range,
    parse_structure, parse_type, parse_utf8_option, split_word,
};
use waft_proto::{Code, FactSet, HashAlgorithm, Reply, Verb};

use super::{Answer, Refusal};
use crate::net::Network;
use crate::session::{Pending, Session};

impl<N: Network> Session<N> {
    /// TYPE.
    pub(super) fn representation(&mut self, argument: &[u8]) -> Answer {
        self.parameters.representation = parse_type(argument)?;
        Ok(Reply::new(
            Code::OKAY,
            match self.parameters.representation {
                Representation::Ascii => "Type is ASCII.",
                Representation::Image => "Type is image (binary).",
            },
        ))
    }

    /// MODE.
    pub(super) fn mode(&mut self, argument: &[u8]) -> Answer {
        let mode = parse_mode(argument)?;
        if mode == TransferMode::Deflate && self.settings.transfers.deflate.is_none() {
            return Err(Refusal::new(Code::BAD_VALUE, "MODE Z is switched off here."));
        }
        self.parameters.mode = mode;
        Ok(Reply::new(
            Code::OKAY,
            match mode {
                TransferMode::Stream => "Mode is stream.",
                TransferMode::Deflate => "Mode is deflate.",
            },
        ))
    }

    /// STRU.
    pub(super) fn stru(&mut self, argument: &[u8]) -> Answer {
        parse_structure(argument)?;
        Ok(Reply::new(Code::OKAY, "Structure is file."))
    }

    /// REST: where the next transfer begins. Text has no offsets that both ends agree about. In
    /// MODE Z the offset is that of the file, not of the stream: so count the clients that compress
    /// wherever a server offers it, which would otherwise begin anew.
    pub(super) fn rest(&mut self, argument: &[u8]) -> Answer {
        let offset = parse_offset(argument)?;
        if offset > 0 && self.parameters.representation != Representation::Image {
            return Err(Refusal::new(Code::BAD_VALUE, "REST needs TYPE I."));
        }
        self.pending = Pending::Restart(offset);
        Ok(Reply::new(Code::PENDING, format!("Restarting at {offset}.")))
    }

    /// RANG: which octets the next command is about.
    pub(super) fn rang(&mut self, argument: &[u8]) -> Answer {
        let Some(range) = parse_range(argument)? else {
            return Ok(Reply::new(Code::PENDING, "Range is reset."));
        };
        let image = self.parameters.representation == Representation::Image;
        if !image || self.parameters.mode != TransferMode::Stream {
            return Err(Refusal::new(Code::BAD_VALUE, "RANG needs TYPE I and MODE S."));
        }
        self.pending = Pending::Range(range);
        Ok(Reply::new(Code::PENDING, format!("Range is {} to {}.", range.first, range.last)))
    }

    /// OPTS (RFC 2389, 4).
    pub(super) fn opts(&mut self, argument: &[u8]) -> Answer {
        let (name, options) = split_word(argument);
        let options = options.unwrap_or_default();
        if name.eq_ignore_ascii_case(b"UTF8") || name.eq_ignore_ascii_case(b"UTF-8") {
            return opts_utf8(options);
        }
        match Verb::from_name(name) {
            Some(Verb::Mlst) => {
                self.parameters.facts = FactSet::parse(options);
                Ok(self.parameters.facts.options_reply())
            }
            Some(Verb::Hash) => self.opts_hash(options),
            Some(Verb::Mode) => self.opts_mode(options),
            _ => Err(Refusal::new(Code::BAD_PARAMETER, "No options for that.")),
        }
    }

    fn opts_hash(&mut self, options: &[u8]) -> Answer {
        if !options.is_empty() {
            self.parameters.hash = HashAlgorithm::from_name(options)
                .ok_or_else(|| Refusal::new(Code::BAD_PARAMETER, "Unknown algorithm, see FEAT."))?;
        }
        Ok(Reply::data(Code::OKAY, self.parameters.hash.name()))
    }

    fn opts_mode(&mut self, options: &[u8]) -> Answer {
        if self.settings.transfers.deflate.is_none() {
            return Err(Refusal::new(Code::BAD_PARAMETER, "MODE Z is switched off here."));
        }
        let level = parse_deflate_level(options)?;
        self.parameters.deflate_level = Some(level);
        Ok(Reply::new(Code::OKAY, format!("MODE Z LEVEL is {level}.")))
    }
}

fn opts_utf8(options: &[u8]) -> Answer {
    if parse_utf8_option(options)? {
        return Ok(Reply::new(Code::OKAY, "UTF8 is on."));
    }
    Err(Refusal::new(Code::BAD_VALUE, "UTF8 is always on."))
}
