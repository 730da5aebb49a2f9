import Contract

/// Any bytes, read as a sequence of choices: the same bytes give the same facts. At their end every choice is 0.
struct Choices {
  private let bytes: UnsafeBufferPointer<UInt8>
  private var position = 0
  let memory: LentMemory

  init(_ bytes: UnsafeBufferPointer<UInt8>, memory: LentMemory) {
    self.bytes = bytes
    self.memory = memory
  }

  var isAtEnd: Bool { position >= bytes.count }

  mutating func byte() -> UInt8 {
    guard position < bytes.count else { return 0 }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func bool() -> Bool { byte() & 1 == 1 }

  /// 0 ..< limit, where limit is at most 256.
  mutating func below(_ limit: Int) -> Int { Int(byte()) % max(limit, 1) }

  private mutating func raw() -> UInt64 { (0..<8).reduce(0) { value, _ in value << 8 | UInt64(byte()) } }

  /// Small ones, those at the edges of integers, and any.
  mutating func number() -> Int64 {
    switch below(8) {
    case 0: return 0
    case 1: return -1
    case 2: return .max
    case 3: return .min
    case 4: return Int64(Int32.max) + Int64(below(3))
    case 5: return Int64(bitPattern: raw())
    default: return Int64(byte())
    }
  }

  mutating func unsigned() -> UInt64 { UInt64(bitPattern: number()) }
  mutating func int32() -> Int32 { Int32(truncatingIfNeeded: number()) }
  mutating func oid() -> UInt32 { bool() ? UInt32(below(8)) : UInt32(truncatingIfNeeded: number()) }
  mutating func column() -> Int16 { bool() ? Int16(below(12)) - 3 : Int16(truncatingIfNeeded: number()) }

  /// Single classes, several, all bits.
  mutating func classes() -> WardenClasses {
    switch below(4) {
    case 0: return 1 << UInt64(below(64))
    case 1: return 1 << UInt64(below(25)) | 1 << UInt64(below(25))
    case 2: return raw()
    default: return WARDEN_CLASS_READ
    }
  }

  mutating func list<Element>(
    upTo limit: Int, _ element: (inout Choices) -> Element
  ) -> (UnsafeMutablePointer<Element>?, Int64) {
    let count = below(limit + 1)
    guard count > 0 else { return (bool() ? memory.list([]) : nil, 0) }
    let elements = (0..<count).map { _ in element(&self) }
    return (memory.list(elements), Int64(count))
  }
}

// MARK: - Texts

extension Choices {
  /// NULL, empty, words that mean something somewhere, bytes that are no UTF-8, and very long ones.
  mutating func text() -> WardenText {
    switch below(16) {
    case 0: return WardenText(bytes: nil, length: 0)
    case 1: return memory.text([])
    case 2: return memory.text((0..<below(64)).map { _ in byte() })
    case 3: return memory.text(repeated())
    case 4...8: return memory.text(sentence())
    default: return memory.text(word())
    }
  }

  private mutating func word() -> [UInt8] {
    let words = Words.all
    return words[(below(256) << 8 | below(256)) % words.count]
  }

  private mutating func sentence() -> [UInt8] {
    let separators: [[UInt8]] = [[], [32], [46], [10], [39], [34], [44], [0]]
    return (0..<below(24)).flatMap { _ in
      let separator = separators[below(separators.count)]
      return word() + separator
    }
  }

  private mutating func repeated() -> [UInt8] {
    let piece = bool() ? [byte()] : word()
    return (0..<(below(256) << below(9))).flatMap { _ in piece }
  }
}

/// What texts are made of: the words that the core knows, and what it has to see through.
enum Words {
  static let all: [[UInt8]] = (statements + policies + masks + odd).map { Array($0.utf8) } + invalid

  private static let statements = [
    "SELECT", "INSERT INTO", "UPDATE u SET", "DELETE FROM", "MERGE", "CREATE ROLE", "ALTER ROLE r", "PASSWORD",
    "'hunter2'",
    "ENCRYPTED", "E'\\''", "U&'\\0061'", "$$", "$a$", "$a$x$a$", "/*", "*/", "--", "\n", "'", "''", "\"", "\"\"", "\\",
    "postgres://u:p@h/db", "host=h password=p", "SET", "warden.token", "=", "TO", "crypt(", "(", ")", ";", "=>", ":=",
    "::",
    "VALUES", "COPY", "FROM", "EXECUTE", "PREPARE", "AS", "CREATE USER MAPPING", "OPTIONS", "USING", "secret", "token",
    "traceparent='00-5bd6-01'", "route='%2Fusers'", "key='%'", "key='%zz'", ",", "1", "1e400", "0x1F", "$1",
    "$99999999999",
    "identified by", "Bearer", "eyJhbGciOi.eyJ.x", "AKIAABCDEFGHIJKLMNOP", "-----BEGIN PRIVATE KEY-----",
    "CREATE TABLE",
    "DROP TABLE", "CREATE INDEX", "DROP EXTENSION",
  ]

  private static let policies = [
    "*", "all", "write", "read", "drop", "ddl", "shop.*", "shop.orders", "shop.orders.id", "\"Shop\".\"Or.ders\"",
    "label:pii.*", "label:*", "label:pii", "pii.email", "pii",
    "label:", "database:*", "database:shop", "function:shop.f", "function:", "role:alice", "role:",
    "identity:*@x.example",
    "group:*", "agent:?", "application:psql*", "application:*a*a*a*a*b", "anonymous", "block", "allow", "alert",
    "require_approval", "production", "08:00-18:00", "22:00-06:00 Europe/Rome", "24:00-24:01", "99:99-00:00", "08:00-",
    "public",
    "warden.guard_policy", "pg_catalog.pg_class", "function:warden.break_glass", "**", "?", "[a-z]", "!", "shop", ".",
    "..", ".*",
  ]

  private static let masks = [
    "redact", "null", "partial", "email", "prefix", "suffix", "fill", "alice@example.com", "@", "a@b", "text",
    "character varying(20)", "character(2)", "numeric(12,2)", "\"x\"\"y\"", "1", "-1", "2147483648", "***", "true",
    "{\"a\": 1}",
  ]

  private static let odd = [
    "é", "漢字", "\u{1F600}", "\u{0}", "\u{FEFF}", "\u{202E}", "e\u{301}\u{301}", "\u{A0}", "ＳＥＬＥＣＴ",
  ]

  private static let invalid: [[UInt8]] = [
    [0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x80, 0x80], [0],
  ]
}

// MARK: - Memory

/// What C would own: every block of its own, so that a sanitizer sees a step beyond it.
final class LentMemory {
  private var blocks: [UnsafeMutableRawPointer] = []

  deinit { for block in blocks { block.deallocate() } }

  func block(_ count: Int, filledWith byte: UInt8 = 0xA5) -> UnsafeMutablePointer<UInt8> {
    let block = UnsafeMutableRawPointer.allocate(byteCount: max(count, 1), alignment: 64)
    blocks.append(block)
    block.initializeMemory(as: UInt8.self, repeating: byte, count: max(count, 1))
    return block.assumingMemoryBound(to: UInt8.self)
  }

  func zeroed<Value>(_ type: Value.Type) -> UnsafeMutablePointer<Value> {
    UnsafeMutableRawPointer(block(MemoryLayout<Value>.size, filledWith: 0)).bindMemory(to: type, capacity: 1)
  }

  func text(_ bytes: [UInt8]) -> WardenText {
    let start = block(bytes.count)
    start.update(from: bytes, count: bytes.count)
    return WardenText(bytes: start, length: Int64(bytes.count))
  }

  func list<Element>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
    let size = max(elements.count, 1) * MemoryLayout<Element>.stride
    let block = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    blocks.append(block)
    let start = block.bindMemory(to: Element.self, capacity: max(elements.count, 1))
    start.initialize(from: elements, count: elements.count)
    return start
  }

  func buffer(_ capacity: Int) -> WardenBuffer {
    WardenBuffer(bytes: block(capacity), capacity: Int64(capacity), length: 0)
  }
}
