//! Splits `250ms` or `64MiB` into an exact number and its unit.

/// A decimal number as `mantissa / 10^scale`, and the text after it. `None` if there are no digits, too many, or a sign.
pub(crate) fn with_unit(text: &str) -> Option<(u128, u32, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') || number.len() > 30 {
        return None;
    }
    let mantissa = format!("{whole}{fraction}").parse().ok()?;
    Some((mantissa, u32::try_from(fraction.len()).ok()?, unit.trim()))
}

/// `mantissa / 10^scale * factor`, if it is whole.
pub(crate) fn scaled(mantissa: u128, scale: u32, factor: u128) -> Option<u128> {
    let product = mantissa.checked_mul(factor)?;
    let divisor = 10_u128.checked_pow(scale)?;
    (product % divisor == 0).then_some(product / divisor)
}
