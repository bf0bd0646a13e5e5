//! Check digits of card numbers and Chinese identity numbers.
//!
//! They catch slips before a remote system is asked; they prove nothing about a person. Both are strict about
//! form (no spaces, no lower-case `x`): what passes here is sent on as it stands.

/// Whether `text` is 2 to 64 digits that end in a valid Luhn check digit (ISO/IEC 7812-1).
pub fn luhn(text: &str) -> bool {
    if !(2..=64).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = text
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            match (index % 2, digit * 2) {
                (0, _) => digit,
                (_, doubled) if doubled > 9 => doubled - 9,
                (_, doubled) => doubled,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// GB/T 2260 codes of provinces, the first two digits.
const PROVINCES: &[u8] = &[
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54, 61, 62, 63, 64, 65,
    71, 81, 82, 83,
];

/// A foreigner's permanent residence card: 9, then the first digit of the province of issue.
const RESIDENCE_CARDS: std::ops::RangeInclusive<u8> = 91..=96;

/// Whether `text` is a Chinese identity number of 18 characters (GB 11643-1999): a plausible region, a date of
/// birth that exists, and the check digit of ISO 7064 MOD 11-2, which may be `X`. That the date is not in the
/// future is not checked: there is no clock here.
pub fn cn_id(text: &str) -> bool {
    let bytes: &[u8; 18] = match text.as_bytes().try_into() {
        Ok(bytes) => bytes,
        Err(_) => return false,
    };
    let (body, check) = bytes.split_at(17);
    if !body.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = |range: std::ops::Range<usize>| body[range].iter().fold(0_u16, |sum, byte| sum * 10 + u16::from(byte - b'0'));
    let region = u8::try_from(number(0..2)).unwrap_or(0);
    if !PROVINCES.contains(&region) && !RESIDENCE_CARDS.contains(&region) {
        return false;
    }
    date_exists(number(6..10), number(10..12), number(12..14)) && check == [cn_check_digit(body)]
}

fn cn_check_digit(body: &[u8]) -> u8 {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(byte, weight)| u32::from(byte - b'0') * weight).sum();
    b"10X98765432"[(sum % 11) as usize]
}

fn date_exists(year: u16, month: u16, day: u16) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1800..=2199).contains(&year) && (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luhn_numbers() {
        for good in ["4111111111111111", "5500005555555559", "378282246310005", "6222021234567890128", "79927398713", "00"] {
            assert!(luhn(good), "{good}");
        }
        for bad in [
            "",
            "0",
            "4111111111111112",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "41111111１1111111",
            "79927398710",
            "abc",
            "-18",
        ] {
            assert!(!luhn(bad), "{bad}");
        }
        assert!(!luhn(&"0".repeat(65)));
    }

    #[test]
    fn every_single_slip_in_a_card_number_is_caught() {
        let number = "4111111111111111";
        for at in 0..number.len() {
            for digit in b'0'..=b'9' {
                let mut slipped = number.as_bytes().to_vec();
                slipped[at] = digit;
                let slipped = String::from_utf8_lossy(&slipped).into_owned();
                assert_eq!(luhn(&slipped), slipped == number, "{slipped}");
            }
        }
    }

    #[test]
    fn chinese_identity_numbers() {
        // The first two are the examples of GB 11643-1999.
        for good in ["11010519491231002X", "440524188001010014", "310101200002290007"] {
            assert!(cn_id(good), "{good}");
        }
        let bad = [
            ("", "empty"),
            ("11010519491231002x", "lower case"),
            ("110105194912310021", "check digit"),
            ("11010519491231002", "17 digits"),
            ("11010519491231002X1", "19 digits"),
            ("1101051949123100X2", "X inside"),
            ("1１010519491231002", "wide digit"),
        ];
        for (text, why) in bad {
            assert!(!cn_id(text), "{why}");
        }
    }

    /// With the right check digit, so that only the part in question is wrong.
    fn checked(body: &str) -> String {
        format!("{body}{}", char::from(cn_check_digit(body.as_bytes())))
    }

    #[test]
    fn region_and_date_of_birth_must_be_plausible() {
        assert!(cn_id(&checked("11010520000229002")), "leap year");
        assert!(cn_id(&checked("83000019900101001")), "Taiwan residents");
        assert!(cn_id(&checked("93115619900101001")), "permanent residence");
        for body in [
            "10010520000229002",
            "99010520000229002",
            "11010520010229002",
            "11010519000229002",
            "11010520001301002",
            "11010520000431002",
            "11010520000100002",
            "11010517991231002",
        ] {
            assert!(!cn_id(&checked(body)), "{body}");
        }
    }
}
