//! What a process does.

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Takes touchpoints; serves the pages behind links and the admin service.
    Gateway,
    /// Finds the person behind a touchpoint. One process works, others stand by.
    Identity,
    /// Owns partitions of people and decides; indexes what they went through.
    Engine,
    /// Hands approved messages to the channels.
    Dispatcher,
    /// Serves the channels to dispatchers of other processes.
    Channels,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Gateway, Self::Identity, Self::Engine, Self::Dispatcher, Self::Channels];

    /// Name on the command line and in `/readyz`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Identity => "identity",
            Self::Engine => "engine",
            Self::Dispatcher => "dispatcher",
            Self::Channels => "channels",
        }
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// Every role.
    pub fn all() -> Self {
        Role::ALL.into_iter().collect()
    }

    /// Whether all of them are there.
    pub fn is_all(self) -> bool {
        self == Self::all()
    }

    /// Whether one of them is there.
    pub fn has(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    /// Those that are there.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |bits, role| bits | 1 << role as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_roles() {
        let some: Roles = [Role::Engine, Role::Gateway].into_iter().collect();
        assert_eq!(some.iter().collect::<Vec<_>>(), [Role::Gateway, Role::Engine]);
        assert!(!some.is_all() && Roles::all().is_all() && !some.has(Role::Channels));
    }
}
