//! Which column of a CSV names the recipient.

use std::collections::HashSet;

use csv::ByteRecord;

/// Names of columns with recipients' ids, best first: an id says less than an address.
const NAMES: [&str; 22] = [
    "recipient_id",
    "subscriber_id",
    "subscriber_uuid",
    "subscriber_key",
    "contact_id",
    "contact_key",
    "customer_id",
    "member_id",
    "user_id",
    "person_id",
    "lead_id",
    "uniqid",
    "uuid",
    "guid",
    "id",
    "recipient",
    "subscriber",
    "email",
    "e_mail",
    "email_address",
    "emailaddress",
    "mail",
];

/// The column, and how it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IdColumn {
    /// Its place, from 0.
    pub(super) at: usize,
    pub(super) why: &'static str,
}

/// A name without what people write it differently with.
fn plain(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name).trim().to_lowercase();
    name.replace([' ', '-', '.'], "_")
}

/// Whether a column of this name holds ids of recipients.
pub(super) fn is_name_of_ids(name: &[u8]) -> bool {
    NAMES.contains(&plain(name).as_str())
}

/// The column that was asked for, by its name or its number from 1.
pub(super) fn named(
    asked: &str,
    header: Option<&ByteRecord>,
    columns: usize,
) -> Result<IdColumn, String> {
    let heads = header.into_iter().flat_map(ByteRecord::iter).enumerate();
    let mut same = heads.filter(|(_, head)| *head == asked.as_bytes());
    let (first, second) = (same.next(), same.next());
    let why = "as asked";
    match (first, second) {
        (Some((at, _)), None) => return Ok(IdColumn { at, why }),
        (Some((one, _)), Some((two, _))) => {
            return Err(format!(
                "columns {} and {} are both called {asked:?}; name one by its number",
                one + 1,
                two + 1
            ));
        }
        (None, _) => {}
    }
    let number = asked.parse::<usize>().ok();
    let at = number.and_then(|number| number.checked_sub(1));
    if let Some(at) = at.filter(|at| *at < columns) {
        return Ok(IdColumn { at, why });
    }
    Err(match header {
        Some(header) => {
            let heads: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
            format!("no column {asked:?}; there are {}", heads.join(", "))
        }
        None => format!("no column {asked:?}; there are columns 1 to {columns}"),
    })
}

/// Guesses by names, then by what stands in the columns.
pub(super) fn guess(header: Option<&ByteRecord>, rows: &[ByteRecord]) -> Result<IdColumn, String> {
    let names: Vec<_> = header
        .into_iter()
        .flat_map(ByteRecord::iter)
        .map(plain)
        .collect();
    let mut repeats = None;
    for name in NAMES {
        let mut same = (0..names.len()).filter(|at| names.get(*at).is_some_and(|it| it == name));
        let (first, second) = (same.next(), same.next());
        let Some(at) = first else {
            continue;
        };
        if !tells_apart(rows, at) {
            repeats = repeats.or(Some((name, at)));
            continue;
        }
        if second.is_some() {
            let what = "name the one with recipients' ids by its number, with --id-column";
            return Err(format!("several columns are called {name}; {what}"));
        }
        let why = "by its name";
        return Ok(IdColumn { at, why });
    }
    if let Some((name, at)) = repeats {
        let (rows, (values, different)) = (rows.len(), values(rows, at));
        return Err(format!(
            "column {name} may not tell recipients apart: of the first {rows} rows {values} have a \
             value there, {different} of them different; if it does, say --id-column {name}"
        ));
    }
    let columns = rows.first().map_or(0, ByteRecord::len);
    let unique = |at: &usize| {
        let (values, different) = values(rows, *at);
        values == rows.len() && different == values
    };
    let mut unique: Vec<_> = (0..columns).filter(unique).collect();
    let address = |at: &usize| {
        let mut fields = rows.iter().filter_map(|row| row.get(*at));
        fields.all(|field| field.contains(&b'@'))
    };
    unique.sort_by_key(|at| !address(at));
    match unique.first() {
        Some(at) => Ok(IdColumn {
            at: *at,
            why: "by its values, all different",
        }),
        None => Err("no column looks like recipients' ids; name it with --id-column".to_owned()),
    }
}

/// How many rows have a value in a column, and how many different ones there are.
fn values(rows: &[ByteRecord], at: usize) -> (usize, usize) {
    let fields = rows.iter().filter_map(|row| row.get(at));
    let values: Vec<_> = fields.filter(|field| !field.is_empty()).collect();
    let different: HashSet<_> = values.iter().collect();
    (values.len(), different.len())
}

/// Whether a column may name recipients: some may be missing, and some be there twice.
fn tells_apart(rows: &[ByteRecord], at: usize) -> bool {
    let (values, different) = values(rows, at);
    values * 2 >= rows.len() && different * 10 >= values * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[&[&str]]) -> Vec<ByteRecord> {
        text.iter()
            .map(|row| ByteRecord::from(row.to_vec()))
            .collect()
    }

    #[test]
    fn names_win_where_their_values_tell_people_apart() {
        let header = &rows(&[&["Name", "E-Mail", "List ID", "id"]])[0];
        let same = rows(&[&["a", "a@x", "9", "1"], &["b", "b@x", "9", "1"]]);
        assert_eq!(
            guess(Some(header), &same).unwrap().at,
            1,
            "id is the same in all"
        );
        assert!(
            guess(
                Some(&rows(&[&["id", "n"]])[0]),
                &rows(&[&["1", "a"], &["1", "b"]])
            )
            .is_err()
        );
        let own = rows(&[&["a", "a@x", "9", "1"], &["b", "b@x", "9", "2"]]);
        assert_eq!(
            guess(Some(header), &own).unwrap().at,
            3,
            "an id before an address"
        );
    }

    #[test]
    fn without_names_values_tell_and_twins_are_refused() {
        let found = guess(None, &rows(&[&["a", "x", "a@x"], &["b", "x", "b@x"]])).unwrap();
        assert_eq!(found.at, 2);
        assert!(guess(None, &rows(&[&["x"], &["x"]])).is_err());
        let twins = &rows(&[&["email", "email"]])[0];
        assert!(guess(Some(twins), &rows(&[&["a", "b"]])).is_err());
        assert!(named("email", Some(twins), 2).is_err());
        assert_eq!(named("2", Some(twins), 2).unwrap().at, 1);
        assert!(named("3", Some(twins), 2).is_err());
        assert!(named("0", None, 2).is_err());
    }
}
