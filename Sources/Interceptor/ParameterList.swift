import Contract

/// The parameters of a statement as a literal of PostgreSQL's text[]: `{a,"b c",NULL,***}`.
struct ParameterList {
  private let parameters: ParametersView
  private let mode: WardenParameterMode
  /// The statement has a secret: any of them may be it.
  private let hidesAll: Bool

  static let capacity = 8192
  static let longestValue = 1024
  /// What has to stay free for the end of the list: `,"... [1234567890123456789 of 1234567890123456789 parameters]"}`
  private static let ending = 72
  /// Shorter than the shortest value with a secret in it: `://u:p@`
  private static let shortestSecret = 7

  @inline(__always)
  init(_ parameters: ParametersView, mode: WardenParameterMode, hidesAll: Bool) {
    self.parameters = parameters
    self.mode = mode
    self.hidesAll = hidesAll
  }

  /// No more bytes than these will be written, a length before them included; 0 where nothing is.
  @inline(__always)
  static func bound(_ parameters: ParametersView, _ mode: WardenParameterMode) -> Int {
    let isKept = mode == WARDEN_PARAMETERS_REDACTED || mode == WARDEN_PARAMETERS_FULL
    guard isKept, parameters.count > 0 else { return 0 }
    var sum = ending &+ 6
    for index in 0..<parameters.count {
      // Twice the value, because every byte may need a backslash; quotes, a comma, and how much was cut.
      sum &+= 2 &* min(parameters.value(index).count, longestValue) &+ 64
      if sum >= capacity { return capacity &+ 4 }
    }
    return sum
  }

  /// One of them is not to be stored, or was not, so an error message must not tell it either.
  func withholdsSome() -> Bool {
    for index in 0..<parameters.count where hides(index) || hasSecret(parameters.value(index)) { return true }
    return hidesAll && parameters.count > 0
  }

  func write(into writer: inout ByteWriter) {
    guard writer.room >= Self.ending &+ 2 else { return }
    writer.append(0x7B)
    for index in 0..<parameters.count {
      let start = writer.count
      if index > 0 { writer.append(0x2C) }
      write(index, into: &writer)
      if writer.overflowed || writer.room < Self.ending {
        writer.rewind(to: start)
        writeEnding(index, into: &writer)
        break
      }
    }
    writer.append(0x7D)
  }

  private func writeEnding(_ written: Int, into writer: inout ByteWriter) {
    if written > 0 { writer.append(0x2C) }
    writer.append("\"... [")
    writer.append(decimal: UInt64(truncatingIfNeeded: written))
    writer.append(" of ")
    writer.append(decimal: UInt64(truncatingIfNeeded: parameters.count))
    writer.append(" parameters]\"")
  }

  private func hides(_ index: Int) -> Bool { parameters.isSensitive(index) && mode != WARDEN_PARAMETERS_FULL }

  @inline(__always)
  private func hasSecret(_ value: ByteView) -> Bool {
    guard value.count >= Self.shortestSecret, !Self.isNumber(value), Secrets.mayBe(in: value) else { return false }
    return SecretWords.firstEnd(in: value) != nil
  }

  private func write(_ index: Int, into writer: inout ByteWriter) {
    let value = parameters.value(index)
    if value.isNull { return writer.append("NULL") }
    if hidesAll || hides(index) { return writer.append("***") }
    let isWhole = parameters.fullLength(index) <= value.count
    if isWhole, Self.isNumber(value) { return writer.append(value) }
    let whole = max(parameters.fullLength(index), value.count)
    let kept = Self.kept(value, of: whole)
    guard hasSecret(value.prefix(kept)) else {
      return Self.write(value.prefix(kept), kept: kept, of: whole, into: &writer)
    }
    var output = writer
    ByteWriter.withScratch(3 &* kept &+ 16) { scratch in
      let isClean = Secrets.remove(fromValue: value.prefix(kept), into: &scratch)
      guard isClean else { return output.append("***") }
      Self.write(scratch.written(since: 0), kept: kept, of: whole, into: &output)
    }
    writer = output
  }

  /// Between characters, also where C's own cut was not.
  private static func kept(_ value: ByteView, of whole: Int) -> Int {
    if whole <= longestValue, whole == value.count { return whole }
    if value.count > longestValue { return UTF8Shape.cut(value, to: longestValue) }
    return whole > value.count ? UTF8Shape.withoutTornEnd(value) : value.count
  }

  private static func write(_ value: ByteView, kept: Int, of whole: Int, into writer: inout ByteWriter) {
    let isCut = kept < whole
    guard isCut || needsQuotes(value) else { return writer.append(value) }
    writer.append(0x22)
    for index in 0..<value.count where !writer.overflowed {
      let byte = value[index]
      if byte == 0x22 || byte == 0x5C { writer.append(0x5C) }
      // A zero would end the literal.
      writer.append(byte == 0 ? 0x3F : byte)
    }
    if isCut {
      writer.append(" ... [")
      writer.append(decimal: UInt64(truncatingIfNeeded: kept))
      writer.append(" of ")
      writer.append(decimal: UInt64(truncatingIfNeeded: whole))
      writer.append(" bytes]")
    }
    writer.append(0x22)
  }

  /// Nearly all are: digits, with whatever is between them in numbers and dates. Nothing of that needs quotes but white
  /// space.
  @inline(__always)
  private static func isNumber(_ value: ByteView) -> Bool {
    guard value.count <= 24 else { return false }
    var index = 0
    while index < value.count {
      let byte = value[index]
      if byte &- 0x2D > 0x39 &- 0x2D || byte == 0x2F { return false }
      index &+= 1
    }
    return value.count > 0
  }

  /// As the server's array_out: what is empty, has one of `{}",\` or white space, or reads NULL.
  private static func needsQuotes(_ value: ByteView) -> Bool {
    if value.count == 0 { return true }
    if value.count == 4, SecretWords.equals(value, 0, 4, "null") { return true }
    for index in 0..<value.count {
      switch value[index] {
      case 0, 0x09...0x0D, 0x20, 0x22, 0x2C, 0x5C, 0x7B, 0x7D: return true
      default: continue
      }
    }
    return false
  }
}

/// The parameters of a statement, as C gives them.
@safe struct ParametersView {
  private let start: UnsafePointer<WardenParameter>?
  let count: Int

  @inline(__always)
  init(_ record: UnsafePointer<WardenRecord>) {
    unsafe start = record.pointee.parameters
    let count = unsafe start == nil ? 0 : record.pointee.parameter_count
    self.count = max(Int(truncatingIfNeeded: count), 0)
  }

  func value(_ index: Int) -> ByteView { unsafe parameter(index).map { unsafe ByteView($0.pointee.value) } ?? .null }

  func isSensitive(_ index: Int) -> Bool { unsafe parameter(index)?.pointee.sensitive ?? true }

  /// Of the whole value, where C gives its beginning; 0: it gives all.
  func fullLength(_ index: Int) -> Int {
    Int(truncatingIfNeeded: unsafe parameter(index)?.pointee.full_length ?? 0)
  }

  @unsafe private func parameter(_ index: Int) -> UnsafePointer<WardenParameter>? {
    guard index >= 0, index < count, let start = unsafe start else { return nil }
    return unsafe start + index
  }
}
