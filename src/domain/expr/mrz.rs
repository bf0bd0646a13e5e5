//! Machine readable zones of travel documents (ICAO 9303, parts 3 to 6).

/// Whether `text` is a whole machine readable zone, with its line breaks, and every check digit in it is right:
/// TD1 (3 lines of 30), TD2 (2 of 36) or TD3 (2 of 44), the composite check digit included. Visas, which have
/// none, are not accepted. Dates are checked by their digits, not by a calendar: unknown parts are `<`.
pub fn mrz(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let lines: Vec<&[u8]> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).as_bytes()).collect();
    if !lines.iter().all(|line| line.iter().all(|&b| value(b).is_some())) {
        return false;
    }
    match lines.as_slice() {
        [first, second, third] if [first, second, third].iter().all(|line| line.len() == 30) => td1(first, second),
        [first, second] if first.len() == 36 && second.len() == 36 => first[0] != b'V' && td2(second),
        [first, second] if first.len() == 44 && second.len() == 44 => first[0] == b'P' && td3(second),
        _ => false,
    }
}

fn td1(first: &[u8], second: &[u8]) -> bool {
    matches!(first[0], b'A' | b'C' | b'I')
        && document_number(&first[5..14], first[14], &first[15..30])
        && holds(&[&second[0..6]], second[6])
        && holds(&[&second[8..14]], second[14])
        && holds(&[&first[5..30], &second[0..7], &second[8..15], &second[18..29]], second[29])
}

fn td2(second: &[u8]) -> bool {
    document_number(&second[0..9], second[9], &second[28..35])
        && holds(&[&second[13..19]], second[19])
        && holds(&[&second[21..27]], second[27])
        && holds(&[&second[0..10], &second[13..20], &second[21..35]], second[35])
}

fn td3(second: &[u8]) -> bool {
    let personal = &second[28..42];
    // An empty personal number may have `<` for its check digit.
    let personal_holds = holds(&[personal], second[42]) || (second[42] == b'<' && personal.iter().all(|&b| b == b'<'));
    holds(&[&second[0..9]], second[9])
        && holds(&[&second[13..19]], second[19])
        && holds(&[&second[21..27]], second[27])
        && personal_holds
        && holds(&[&second[0..10], &second[13..20], &second[21..43]], second[43])
}

/// A number of more than nine characters has `<` where its check digit would be; the rest of it stands at the
/// start of the optional data, followed by the check digit and `<`.
fn document_number(number: &[u8], check: u8, optional: &[u8]) -> bool {
    if check != b'<' {
        return holds(&[number], check);
    }
    let end = optional.iter().position(|&b| b == b'<').unwrap_or(optional.len());
    match optional[..end].split_last() {
        Some((check, rest)) if !rest.is_empty() => holds(&[number, b"<", rest], *check) || holds(&[number, rest], *check),
        _ => false,
    }
}

/// Whether `check` is the check digit of the parts, read one after the other.
fn holds(parts: &[&[u8]], check: u8) -> bool {
    let sum: u32 = parts
        .iter()
        .flat_map(|part| part.iter())
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(&byte, weight)| value(byte).unwrap_or(0) * weight)
        .sum();
    check.is_ascii_digit() && u32::from(check - b'0') == sum % 10
}

/// What a character counts; `None` for one that no zone contains.
fn value(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'<' => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The specimens of ICAO 9303 parts 4, 5 and 6.
    const TD3: &str = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10";
    const TD2: &str = "I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<\nD231458907UTO7408122F1204159<<<<<<<6";
    const TD1: &str = "I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6\nERIKSSON<<ANNA<MARIA<<<<<<<<<<";
    const TD1_LONG: &str = "I<UTOD23145890<7349<<<<<<<<<<<\n3407127M9507122UTO<<<<<<<<<<<2\nSTEVENSON<<PETER<JOHN<<<<<<<<<";

    #[test]
    fn the_specimens_pass() {
        for specimen in [TD3, TD2, TD1, TD1_LONG] {
            assert!(mrz(specimen), "{specimen}");
            assert!(mrz(&specimen.replace('\n', "\r\n")), "{specimen}");
            assert!(mrz(&format!("{specimen}\n")), "{specimen}");
        }
    }

    #[test]
    fn every_changed_digit_is_caught() {
        for specimen in [TD3, TD2, TD1] {
            for (at, byte) in specimen.bytes().enumerate() {
                if !byte.is_ascii_digit() {
                    continue;
                }
                let mut changed = specimen.as_bytes().to_vec();
                changed[at] = b'0' + (byte - b'0' + 1) % 10;
                let changed = String::from_utf8_lossy(&changed).into_owned();
                assert!(!mrz(&changed), "{changed}");
            }
        }
    }

    #[test]
    fn what_is_no_zone_fails() {
        let visa = "V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL8988901C4XXX4009078F96121096ZE184226B<<<<<<";
        for text in [
            "",
            "\n",
            "\n\n",
            "P<UTO",
            visa,
            &TD3.replace('\n', ""),
            &TD3.to_lowercase(),
            &TD3.replace('<', " "),
            &format!("{TD3}\n\n"),
            &TD3.replace('U', "Ü"),
        ] {
            assert!(!mrz(text), "{text:?}");
        }
    }

    #[test]
    fn an_empty_personal_number_may_have_a_filler_for_its_check_digit() {
        for check in ["0", "<"] {
            let line = format!("L898902C36UTO7408122F1204159<<<<<<<<<<<<<<{check}");
            let composite: u32 = [&line.as_bytes()[0..10], &line.as_bytes()[13..20], &line.as_bytes()[21..43]]
                .iter()
                .flat_map(|part| part.iter())
                .zip([7, 3, 1].into_iter().cycle())
                .map(|(&b, weight)| value(b).unwrap_or(0) * weight)
                .sum();
            let zone = format!("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\n{line}{}", composite % 10);
            assert!(mrz(&zone), "{zone}");
        }
    }
}
