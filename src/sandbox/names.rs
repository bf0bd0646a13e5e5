//! Names and numbers of invented people: names in many scripts, because a system that only ever saw ASCII breaks on the
//! first real customer, and resident identity numbers that are valid by GB 11643, because invalid ones test only the door.

use super::random::Random;

/// Surnames and given names that are combined freely.
const SURNAMES: &[&str] = &[
    "王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周", "徐", "孙", "马", "朱", "胡", "郭", "何", "林", "罗", "梁",
    "欧阳", "司马", "诸葛", "上官", "㐆", "𠮷",
];
const GIVEN: &[&str] = &[
    "伟", "芳", "娜", "敏", "静", "秀英", "丽", "强", "磊", "洋", "艳", "勇", "杰", "娟", "涛", "明", "超", "秀兰", "霞", "平",
    "刚", "桂英", "子涵", "雨桐", "欣怡", "梓轩", "浩然", "思远", "若曦", "𬀩", "喆", "骉",
];
/// Whole names in other scripts and shapes.
const OTHERS: &[&str] = &[
    "阿卜杜拉·买买提",
    "扎西·次仁",
    "བཀྲ་ཤིས་",
    "ئالىم ئابدۇللا",
    "María José Núñez-O’Connor",
    "Søren Kierkegård",
    "Łukasz Żółć",
    "Nguyễn Thị Ánh Tuyết",
    "Zoë Brontë",
    "Jürgen Müller-Lüdenscheidt",
    "Þórunn Sigurðardóttir",
    "İbrahim Işık",
    "Дмитрий Ёлкин",
    "Ελένη Παπαδοπούλου",
    "محمد عبد الرحمن",
    "יעקב בן־דוד",
    "अनुष्का शर्मा",
    "สมชาย ใจดี",
    "김민준",
    "佐藤 さくら",
    "ნინო ბერიძე",
    "Անի Պետրոսյան",
    "அருண் குமார்",
    "Jean-Luc d’Été",
    "O'Neil",
    "X Æ A-12",
    "Li",
];
/// Areas of six digits that exist.
const AREAS: &[&str] = &["110101", "310104", "440305", "510107", "330106", "420111", "610113", "500103", "650102", "540102"];

/// A name: Chinese in four of five cases, otherwise from anywhere.
pub(super) fn name(random: &mut Random) -> String {
    if random.chance(0.8) {
        let surname = random.pick(SURNAMES).copied().unwrap_or("王");
        let given = random.pick(GIVEN).copied().unwrap_or("伟");
        format!("{surname}{given}")
    } else {
        random.pick(OTHERS).copied().unwrap_or("Li").to_owned()
    }
}

/// A valid resident identity number of 18 characters.
pub(super) fn id_number(random: &mut Random) -> String {
    let area = random.pick(AREAS).copied().unwrap_or("110101");
    let year = 1950 + random.below(56);
    let month = 1 + random.below(12);
    let day = 1 + random.below(28);
    let sequence = 1 + random.below(999);
    let body = format!("{area}{year:04}{month:02}{day:02}{sequence:03}");
    let check = check_character(&body);
    format!("{body}{check}")
}

/// The same number with its last character changed, so that it is invalid.
pub(super) fn invalid_id_number(valid: &str) -> String {
    let (body, check) = valid.split_at(valid.len().saturating_sub(1));
    let other = if check == "0" { '1' } else { '0' };
    format!("{body}{other}")
}

/// GB 11643 (ISO 7064, MOD 11-2): the weight of a digit is 2 to the power of its distance from the end, modulo 11.
fn check_character(body: &str) -> char {
    let sum = body.bytes().fold(0, |sum, digit| (sum + u32::from(digit - b'0')) * 2 % 11);
    match (12 - sum) % 11 {
        10 => 'X',
        digit => char::from_digit(digit, 10).unwrap_or('0'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_characters_of_published_examples() {
        // The example of the standard, and two numbers widely used in documentation.
        for number in ["11010519491231002X", "440524188001010014", "34052419800101001X"] {
            let (body, check) = number.split_at(17);
            assert_eq!(check_character(body).to_string(), check, "{number}");
        }
    }

    #[test]
    fn generated_numbers_have_the_form() {
        let mut random = Random::new(3);
        for _ in 0..1000 {
            let number = id_number(&mut random);
            assert_eq!(number.len(), 18);
            assert!(number.bytes().take(17).all(|byte| byte.is_ascii_digit()), "{number}");
            let (body, check) = number.split_at(17);
            assert_eq!(check_character(body).to_string(), check);
            assert_ne!(invalid_id_number(&number), number);
        }
    }
}
