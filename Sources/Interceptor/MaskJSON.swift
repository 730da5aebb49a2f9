import Contract

/// Copies JSON text, masking what a plan says, byte by byte and without recursion.
///
/// A string becomes "[redacted]", a number 0, a boolean false, an object {} and an array []; null stays null. By the other
/// methods strings are masked, also those within arrays; what is no string is redacted. `scrub` walks into objects, too,
/// and takes their keys for text as well as their values.
struct MaskJSON {
  /// A value that has begun and not ended.
  private struct Level {
    let isArray: Bool
    let steps: JSONSteps
    /// All within is masked so.
    let method: JSONMethod?
    var count = 0
  }

  private static let deepest = 1000

  private let text: ByteView
  private let plan: JSONPlan
  private let encoding: WardenEncoding
  private var work: ByteWriter
  private var writer: ByteWriter
  private var index = 0
  private var levels: [Level] = []
  private var isBroken = false

  /// All of it, into `writer`; `work` has room for four times the text.
  static func write(
    _ text: ByteView, plan: ByteView, encoding: WardenEncoding, work: ByteWriter, to writer: inout ByteWriter
  ) -> WardenJSONResult {
    guard let plan = JSONPlan(plan) else { return WARDEN_JSON_REFUSED }
    var mask = MaskJSON(text: text, plan: plan, encoding: encoding, work: work, writer: writer)
    mask.run()
    writer = mask.writer
    if writer.overflowed { return WARDEN_JSON_NO_ROOM }
    return mask.isBroken ? WARDEN_JSON_REFUSED : WARDEN_JSON_MASKED
  }

  private init(text: ByteView, plan: JSONPlan, encoding: WardenEncoding, work: ByteWriter, writer: ByteWriter) {
    self.text = text
    self.plan = plan
    self.encoding = encoding
    self.work = work
    self.writer = writer
  }

  private mutating func run() {
    value(plan.start, nil)
    while !isBroken, !writer.overflowed, let level = levels.last {
      copySpace()
      let close: UInt8 = level.isArray ? 0x5D : 0x7D
      if text[index] == close {
        copyByte()
        levels.removeLast()
        continue
      }
      if level.count > 0 {
        guard text[index] == 0x2C else { return fail() }
        copyByte()
        copySpace()
      }
      levels[levels.count &- 1].count = level.count &+ 1
      if level.isArray { value(plan.element(of: level.steps, level.count), level.method) } else { member(level) }
    }
    copySpace()
    if index < text.count { fail() }
  }

  private mutating func fail() { isBroken = true }

  private mutating func copyByte() {
    writer.append(text[index])
    index &+= 1
  }

  private mutating func copySpace() {
    while index < text.count, ScrubBytes.isSpace(text[index]) { copyByte() }
  }

  private mutating func member(_ level: Level) {
    guard text[index] == 0x22, let end = stringEnd(index) else { return fail() }
    let inside = text.slice(index &+ 1, end &- 1)
    if level.method == .scrub { maskString(inside, .scrub) } else { writer.append(text.slice(index, end)) }
    index = end
    copySpace()
    guard text[index] == 0x3A else { return fail() }
    copyByte()
    let key = decodedKey(inside)
    // A name that cannot be told may be any.
    value(plan.member(of: level.steps) { name in key?.isEqual(to: name) ?? true }, level.method)
  }

  /// nil where it cannot be told in the server's encoding.
  private mutating func decodedKey(_ inside: ByteView) -> ByteView? {
    guard inside.contains(0x5C) else { return inside }
    work.rewind(to: 0)
    return JSONString.decode(inside, encoding, to: &work) ? work.written(since: 0) : nil
  }

  /// Behind the string that begins at `start`; nil where it does not end.
  private func stringEnd(_ start: Int) -> Int? {
    var end = start &+ 1
    while end < text.count {
      if text[end] == 0x22 { return end &+ 1 }
      end &+= text[end] == 0x5C ? 2 : 1
    }
    return nil
  }

  // MARK: Values

  private mutating func value(_ steps: JSONSteps, _ inherited: JSONMethod?) {
    copySpace()
    let first = text[index]
    let (arrived, own) = plan.arrive(steps, isArray: first == 0x5B)
    let method = own?.joined(with: inherited) ?? inherited
    switch first {
    case 0x7B, 0x5B: container(arrived, method, isArray: first == 0x5B)
    case 0x22: string(method)
    default: scalar(method)
    }
  }

  private mutating func container(_ steps: JSONSteps, _ method: JSONMethod?, isArray: Bool) {
    let isWalked: Bool
    switch method {
    case nil, .scrub: isWalked = true
    case .redact, .null: isWalked = false
    case .email, .last4: isWalked = isArray
    }
    guard !isWalked else {
      guard levels.count < MaskJSON.deepest else { return fail() }
      levels.append(Level(isArray: isArray, steps: steps, method: method))
      return copyByte()
    }
    skipContainer()
    writer.append(method == .null ? "null" : isArray ? "[]" : "{}")
  }

  /// Brackets that are no pair are not told apart: nothing of it is shown.
  private mutating func skipContainer() {
    var depth = 0
    while index < text.count {
      let byte = text[index]
      if byte == 0x22 {
        guard let end = stringEnd(index) else { return fail() }
        index = end
        continue
      }
      if byte == 0x7B || byte == 0x5B { depth &+= 1 }
      if byte == 0x7D || byte == 0x5D { depth &-= 1 }
      index &+= 1
      if depth == 0 { return }
    }
    fail()
  }

  private mutating func string(_ method: JSONMethod?) {
    guard let end = stringEnd(index) else { return fail() }
    if let method {
      maskString(text.slice(index &+ 1, end &- 1), method)
    } else {
      writer.append(text.slice(index, end))
    }
    index = end
  }

  private mutating func maskString(_ inside: ByteView, _ method: JSONMethod) {
    if method == .null { return writer.append("null") }
    work.rewind(to: 0)
    guard method != .redact, JSONString.decode(inside, encoding, to: &work) else {
      return writer.append("\"[redacted]\"")
    }
    let plain = work.written(since: 0)
    var result = work.part(plain.count &* 2 &+ 16, behind: plain.count)
    let isMasked: Bool
    switch method {
    case .scrub:
      var folded = work.part(plain.count, behind: plain.count &* 3 &+ 16)
      isMasked = MaskScrub.write(plain, encoding: encoding, work: &folded, to: &result)
      // What holds nothing stays as it was written.
      if isMasked, result.written(since: 0).isEqual(to: plain) {
        writer.append(0x22)
        writer.append(inside)
        return writer.append(0x22)
      }
    case .email:
      isMasked = result.write { MaskText.email(plain.asText, encoding: encoding, to: &$0) }
    default:
      isMasked = result.write {
        MaskText.partial(
          plain.asText, prefix: 0, suffix: 4, fill: ByteView("***").asText, encoding: encoding, to: &$0)
      }
    }
    guard isMasked else { return writer.append("\"[redacted]\"") }
    JSONString.encode(result.written(since: 0), to: &writer)
  }

  /// A number, true, false or null.
  private mutating func scalar(_ method: JSONMethod?) {
    let start = index
    while index < text.count, isScalar(text[index]) { index &+= 1 }
    let token = text.slice(start, index)
    guard token.count > 0 else { return fail() }
    let isNumber = token[0] == 0x2D || ScrubBytes.isDigit(token[0])
    switch method {
    case nil: writer.append(token)
    case .null: writer.append("null")
    case .scrub:
      work.rewind(to: 0)
      var result = work.part(token.count &* 2 &+ 16, behind: token.count)
      let isHarmless =
        !isNumber
        || (MaskScrub.write(token, encoding: encoding, work: &work, to: &result)
          && result.written(since: 0).isEqual(to: token))
      writer.append(isHarmless ? token : ByteView("0"))
    default: writer.append(token[0] == 0x6E ? "null" : isNumber ? "0" : "false")
    }
  }

  private func isScalar(_ byte: UInt8) -> Bool {
    ScrubBytes.isAlphanumeric(byte) || byte == 0x2B || byte == 0x2D || byte == 0x2E
  }
}
