//! Names of processes that hold across a restart: a pid alone is used again.

use std::fmt;
use std::str::FromStr;

/// One boot of a machine, as Linux names it: processes do not outlive it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(u128);

impl BootId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Its 16 bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// A text that is not a boot id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a boot id (a UUID)")]
pub struct ParseBootIdError;

impl FromStr for BootId {
    type Err = ParseBootIdError;

    fn from_str(text: &str) -> Result<Self, ParseBootIdError> {
        let digits: String = text.chars().filter(|letter| *letter != '-').collect();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseBootIdError);
        }
        u128::from_str_radix(&digits, 16).map(Self).map_err(|_wrong| ParseBootIdError)
    }
}

impl fmt::Display for BootId {
    /// The kernel's form: a lower-case UUID.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        write!(f, "{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
    }
}

/// A process, told from every other one that ever had its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Its pid; also its process group.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    pub start_ticks: u64,
    /// In which boot.
    pub boot: BootId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_has_the_kernels_form() {
        let text = "41e76c79-6549-4a6c-a0f2-749c01c53c48";
        let id: BootId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(BootId::from_bytes(id.to_bytes()), id);
        for wrong in
            ["", "41e76c79", "+1e76c79-6549-4a6c-a0f2-749c01c53c48", "z1e76c79-6549-4a6c-a0f2-749c01c53c48"]
        {
            assert_eq!(wrong.parse::<BootId>(), Err(ParseBootIdError), "{wrong}");
        }
    }
}
