//! IP addresses as text: whether a text is one, in its canonical form.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Returns whether a text is an IPv4 address without leading zeros, or an IPv6 address as RFC 5952 has it.
pub fn is_canonical(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else {
        return false;
    };
    if text.contains(':') {
        // One in its deprecated compatible form is left to the reference.
        let dotted = text.contains('.') && !text.starts_with("::ffff:");
        return !dotted && text.parse::<Ipv6Addr>().is_ok_and(|found| found.to_string() == text);
    }
    text.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_forms_count() {
        for good in ["10.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::1", "::ffff:10.0.0.1"] {
            assert!(is_canonical(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "-",
            "10.0.0",
            "10.0.0.01",
            "256.0.0.1",
            "2001:DB8::1",
            "2001:db8:0::1",
            "fe80::1%1",
        ] {
            assert!(!is_canonical(bad.as_bytes()), "{bad}");
        }
    }
}
