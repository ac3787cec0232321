//! The little of protobuf's wire format that Spark's text uses: numbers and bytes.

/// More fields than any message here has.
const MOST_FIELDS: usize = 16;

/// One field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A message's fields with their numbers, in their order.
pub(super) fn fields(bytes: &[u8]) -> Result<Vec<(u64, Field<'_>)>, &'static str> {
    const CUT: &str = "it is cut short";
    let mut rest = bytes;
    let mut found = Vec::new();
    while !rest.is_empty() {
        if found.len() == MOST_FIELDS {
            return Err("it holds more than it can");
        }
        let tag = number(&mut rest)?;
        let value = match tag & 7 {
            0 => Field::Number(number(&mut rest)?),
            2 => {
                let length = usize::try_from(number(&mut rest)?).map_err(|_| CUT)?;
                let (value, after) = rest.split_at_checked(length).ok_or(CUT)?;
                rest = after;
                Field::Bytes(value)
            }
            _ => return Err("it holds what nobody here knows"),
        };
        found.push((tag >> 3, value));
    }
    Ok(found)
}

/// A base-128 number of at most 64 bits, in its shortest form only.
fn number(rest: &mut &[u8]) -> Result<u64, &'static str> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or("it is cut short")?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            break;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return if *byte == 0 && shift > 0 {
                Err("a number of it is padded")
            } else {
                Ok(number)
            };
        }
    }
    Err("a number of it is too large")
}
