// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Contract

// The functions of warden_mask.h, which says what each does. Their names are C's.

@c @implementation
public func warden_mask_expression(
  _ definition: UnsafePointer<WardenMaskDefinition>, _ expression: UnsafeMutablePointer<WardenBuffer>,
  _ method: UnsafeMutablePointer<WardenBuffer>, _ texts: UnsafeMutablePointer<WardenBuffer>,
  _ verdict: UnsafeMutablePointer<WardenVerdict>
) -> Bool {
  let row = unsafe MaskRow(definition)
  do throws(PolicyError) {
    var sql = unsafe TextWriter(expression)
    var name = unsafe TextWriter(method)
    let chosen = try MaskMethod.chosen(for: row)
    name.append(chosen.name)
    try MaskExpression.write(chosen, for: row, to: &sql)
    guard !sql.isCut, !name.isCut else {
      throw PolicyError(
        .invalidParameter, "mask expression is too long for column", row.target, hint: "Use method null.")
    }
    unsafe sql.finish(expression)
    unsafe name.finish(method)
    guard let notice = MaskExpression.notice(chosen, for: row) else {
      unsafe allow(isMasked: false, texts, verdict)
      return true
    }
    unsafe deliver(Refusal.notice(notice.message, hint: notice.hint), texts, verdict)
    return true
  } catch {
    return unsafe refuse(error, texts, verdict)
  }
}

@c @implementation
public func warden_mask_partial(
  _ value: WardenText, _ prefix: Int32, _ suffix: Int32, _ fill: WardenText, _ encoding: WardenEncoding,
  _ out: UnsafeMutablePointer<WardenBuffer>
) {
  var writer = unsafe TextWriter(out)
  unsafe MaskText.partial(
    TextView(value), prefix: prefix, suffix: suffix, fill: TextView(fill), encoding: encoding, to: &writer)
  unsafe writer.finish(out)
}

@c @implementation
public func warden_mask_email(
  _ value: WardenText, _ encoding: WardenEncoding, _ out: UnsafeMutablePointer<WardenBuffer>
) {
  var writer = unsafe TextWriter(out)
  unsafe MaskText.email(TextView(value), encoding: encoding, to: &writer)
  unsafe writer.finish(out)
}
