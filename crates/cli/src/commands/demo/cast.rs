//! The people of the demo: a dozen whose stories are told in full, and the rest of the town.

use sojourn_node::chance::Chance;
use std::collections::BTreeMap;

/// How many people there are.
pub(super) const PEOPLE: usize = 200;

/// Those whose stories are written by hand, in [`super::script`].
pub(super) const FEATURED: [&str; 15] = [
    "Ada", "Bartek", "Chloe", "Daniel", "Emre", "Freya", "Grace", "Hugo", "Ines", "Jonas", "Kofi",
    "Lena", "Mateo", "Nora", "Omar",
];

/// First names of the others; an initial tells those of one name apart.
const OTHERS: [&str; 40] = [
    "Alma", "Ben", "Cleo", "Dora", "Elif", "Finn", "Gita", "Hana", "Ivo", "Jana", "Kai", "Lotte",
    "Milan", "Nina", "Otto", "Pia", "Quinn", "Rosa", "Sami", "Tessa", "Uma", "Vera", "Wim",
    "Xenia", "Yara", "Zeno", "Aron", "Bella", "Caro", "Dina", "Emil", "Fay", "Gus", "Hedda", "Ida",
    "Joost", "Kira", "Luca", "Maja", "Noor",
];

/// What somebody agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) email: bool,
    pub(super) push: bool,
    pub(super) feedback: bool,
}

/// One person.
#[derive(Debug, Clone)]
pub(super) struct Person {
    /// As the screen shows it.
    pub(super) name: String,
    pub(super) user_id: String,
    pub(super) email: String,
    /// Loyalty card of the shop.
    pub(super) card: String,
    /// Browser at home.
    pub(super) browser: String,
    /// The app on the phone: a device for push messages.
    pub(super) phone: String,
    pub(super) instagram: String,
    pub(super) locale: &'static str,
    pub(super) agreed: Agreed,
    /// Known to the shop before the story begins.
    pub(super) known: bool,
}

impl Person {
    fn new(place: usize, name: String, chance: &mut Chance) -> Self {
        let handle = name.to_lowercase().replace(['.', ' '], "");
        Self {
            user_id: format!("c-{}", 1001 + place),
            email: format!("{handle}@example.com"),
            card: format!("card-{}", 5001 + place),
            browser: format!("browser-{:04x}", chance.below(0xffff)) + &place.to_string(),
            phone: format!("phone-{place}"),
            instagram: format!("{handle}.bakes"),
            locale: if chance.percent(15) { "pl" } else { "en" },
            agreed: Agreed {
                email: chance.percent(72),
                push: chance.percent(30),
                feedback: chance.percent(60),
            },
            known: chance.percent(75),
            name,
        }
    }
}

/// Everybody, in the same order for the same seed.
pub(super) fn people(seed: u64) -> Vec<Person> {
    let mut chance = Chance::new(seed ^ 0xCA57);
    let mut people: Vec<Person> = Vec::with_capacity(PEOPLE);
    for place in 0..PEOPLE {
        let name = match FEATURED.get(place) {
            Some(name) => (*name).to_owned(),
            None => {
                let other = place - FEATURED.len();
                let initial = char::from(b"KLMNPRSTVW"[(other / OTHERS.len()) % 10]);
                format!("{} {initial}.", OTHERS[other % OTHERS.len()])
            }
        };
        let mut person = Person::new(place, name, &mut chance);
        if place < FEATURED.len() {
            direct(&mut person);
        }
        people.push(person);
    }
    people
}

/// What the hand-written stories need of their people.
fn direct(person: &mut Person) {
    person.known = true;
    person.locale = "en";
    person.agreed = Agreed { email: true, push: false, feedback: true };
    match person.name.as_str() {
        "Bartek" => person.locale = "pl",
        "Chloe" | "Emre" | "Nora" => person.known = false,
        "Daniel" => {
            person.known = false;
            person.agreed.push = true;
        }
        "Freya" => person.agreed = Agreed { email: false, push: false, feedback: false },
        _ => {}
    }
}

/// Who stands behind an identifier, for those that name somebody: nobody recognises a browser.
pub(super) fn directory(people: &[Person]) -> BTreeMap<String, usize> {
    let mut directory = BTreeMap::new();
    for (place, person) in people.iter().enumerate() {
        for value in [&person.user_id, &person.email, &person.card] {
            directory.insert(value.clone(), place);
        }
    }
    directory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_shares_a_name_or_an_identifier() {
        let people = people(1);
        let names: std::collections::BTreeSet<_> = people.iter().map(|p| &p.name).collect();
        assert_eq!(names.len(), PEOPLE);
        assert_eq!(directory(&people).len(), PEOPLE * 3);
        let browsers: std::collections::BTreeSet<_> = people.iter().map(|p| &p.browser).collect();
        assert_eq!(browsers.len(), PEOPLE);
    }
}
