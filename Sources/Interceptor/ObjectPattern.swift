import Contract

/// OIDs of the catalogs that patterns tell apart; fixed in every PostgreSQL.
enum Catalog {
  static let relation: UInt32 = 1259
  static let function: UInt32 = 1255
  static let schema: UInt32 = 2615
  static let database: UInt32 = 1262
}

/// What a rule that was found has to do with an object: it is for the object, for one that it inherits from, for the
/// schema that it is in, or for whatever has its name.
enum ObjectMatch {
  case itself
  case descendant
  case member
  case name
}

/// An entry of `objects => '{…}'`. What it named when the rule was made is held by OID, so that it follows a rename. What
/// restricts holds for what has the name now, too: a table that takes the place of a guarded one is guarded.
struct ObjectPattern {
  enum Kind {
    /// `*`
    case everything
    /// `schema.*`, the schema itself included
    case schema
    /// `schema.name`
    case relation
    /// `schema.name.column`
    case column
    /// `function:schema.name`
    case function
    /// `database:name`
    case database
    /// `label:pii.*`: the columns that carry such a label, whichever they are when it is decided
    case label
  }

  let kind: Kind
  /// Of the schema, the relation or the function; 0 where there was none of that name.
  let oid: UInt32
  /// The identifiers without quotes, a zero byte between them; of a column, its relation's. Of a label, its pattern.
  let name: [UInt8]
  /// Of `schema.name.column`: attribute number (0 where there was none), and name for children, whose numbers differ.
  let column: Int16
  let columnName: [UInt8]
  /// What that column is called now.
  let presentName: [UInt8]
  /// `oid` is what the pattern named when the rule was made, not what has the name now.
  let isBound: Bool

  init(_ row: ObjectRow) throws(PolicyError) {
    let text = row.text.copy
    if text == [UInt8]("*") {
      self.init(.everything, oid: 0, name: [])
    } else if text.starts(with: [UInt8]("label:")) {
      try self.init(label: Array(text.dropFirst(6)), row)
    } else if text.starts(with: [UInt8]("database:")) {
      try self.init(database: Array(text.dropFirst(9)), row)
    } else if text.starts(with: [UInt8]("function:")) {
      try self.init(function: Array(text.dropFirst(9)), row)
    } else {
      try self.init(relation: text, row)
    }
  }

  private init(
    _ kind: Kind, oid: UInt32, name: [UInt8], column: Int16 = 0, columnName: [UInt8] = [], presentName: [UInt8] = [],
    isBound: Bool = false
  ) {
    self.kind = kind
    self.oid = oid
    self.name = name
    self.column = column
    self.columnName = columnName
    self.presentName = presentName
    self.isBound = isBound
  }

  /// What `oid` is one of.
  var catalog: UInt32 {
    switch kind {
    case .schema: Catalog.schema
    case .function: Catalog.function
    case .database: Catalog.database
    default: Catalog.relation
    }
  }

  /// The attribute number of the column that the pattern is about, in an object that it was found for; 0 where the object
  /// has no such column.
  func column(of object: ObjectFacts, _ match: ObjectMatch) -> Int16 {
    switch match {
    case .itself where column != 0:
      return column
    case .descendant where !presentName.isEmpty:
      return object.column(named: presentName) ?? object.column(named: columnName) ?? 0
    default:
      return object.column(named: columnName) ?? 0
    }
  }

  private init(label: [UInt8], _ row: ObjectRow) throws(PolicyError) {
    guard ColumnLabel.isPattern(label) else {
      throw PolicyError(
        .invalidParameter, "invalid label in object", row.text,
        hint: "Accepted: label:pii.email, label:pii.*, label:*; dotted lower-case words.")
    }
    self.init(.label, oid: 0, name: label)
  }

  private init(database: [UInt8], _ row: ObjectRow) throws(PolicyError) {
    guard !database.isEmpty else { throw ObjectPattern.malformed(row) }
    let quoted = database.first == 34 ? ObjectName.identifiers(database) : nil
    guard let quoted else {
      self.init(.database, oid: 0, name: database)
      return
    }
    guard quoted.count == 1, let name = quoted.first else { throw ObjectPattern.malformed(row) }
    self.init(.database, oid: 0, name: name.bytes)
  }

  private init(function: [UInt8], _ row: ObjectRow) throws(PolicyError) {
    guard let parts = ObjectName.identifiers(function), parts.count == 2, !parts.contains(where: { $0.isStar }) else {
      throw ObjectPattern.malformed(row)
    }
    self.init(.function, oid: row.object, name: ObjectName.joined(parts), isBound: row.isBound)
  }

  private init(relation text: [UInt8], _ row: ObjectRow) throws(PolicyError) {
    guard let parts = ObjectName.identifiers(text), let first = parts.first, let last = parts.last,
      !parts.dropLast().contains(where: { $0.isStar })
    else { throw ObjectPattern.malformed(row) }
    switch parts.count {
    case 2 where last.isStar:
      self.init(.schema, oid: row.schema, name: first.bytes, isBound: row.isBound)
    case 2:
      self.init(.relation, oid: row.object, name: ObjectName.joined(parts), isBound: row.isBound)
    case 3 where !last.isStar:
      let relation = ObjectName.joined(Array(parts.dropLast()))
      self.init(
        .column, oid: row.object, name: relation, column: row.column, columnName: last.bytes,
        presentName: row.columnName.copy, isBound: row.isBound)
    default:
      throw ObjectPattern.malformed(row)
    }
  }

  private static func malformed(_ row: ObjectRow) -> PolicyError {
    PolicyError(
      .invalidParameter, "invalid object", row.text,
      hint: """
        Accepted: *, schema.*, schema.name, schema.name.column, label:pii.*, database:name, function:schema.name.
        """)
  }
}

/// The name of an object as the server writes it, qualified and quoted as needed, read as identifiers: a sequence of
/// their bytes without quotes, a zero byte for each dot between them. What follows a parenthesis, a function's
/// arguments, is left out.
struct ObjectName: Sequence {
  /// As the server writes it.
  let text: TextView

  init(_ text: TextView) { self.text = text }

  struct Identifier {
    let bytes: [UInt8]
    /// A star without quotes.
    let isStar: Bool
  }

  func makeIterator() -> Iterator { Iterator(text: text) }

  struct Iterator: IteratorProtocol {
    fileprivate let text: TextView
    private var index = 0
    private var isQuoted = false

    fileprivate init(text: TextView) { self.text = text }

    mutating func next() -> UInt8? {
      while let byte = text.bytes.element(at: index) {
        index &+= 1
        if byte != 34 {
          guard !isQuoted else { return byte }
          return byte == 40 ? nil : byte == 46 ? 0 : byte
        }
        if isQuoted, text.bytes.element(at: index) == 34 {
          index &+= 1
          return byte
        }
        isQuoted.toggle()
      }
      return nil
    }
  }

  /// The name of its schema; nil where it has none. `isItself`: it is a schema's name.
  func schema(isItself: Bool) -> Prefix? {
    guard isItself || contains(0) else { return nil }
    return Prefix(name: self)
  }

  /// What is before the first dot.
  struct Prefix: Sequence {
    fileprivate let name: ObjectName

    func makeIterator() -> Iterator { Iterator(base: name.makeIterator()) }

    struct Iterator: IteratorProtocol {
      fileprivate var base: ObjectName.Iterator

      mutating func next() -> UInt8? {
        guard let byte = base.next(), byte != 0 else { return nil }
        return byte
      }
    }
  }

  /// Reads what a user wrote by SQL's rules: folded to lower case but within double quotes.
  /// nil where it is no dotted list of identifiers.
  static func identifiers(_ text: [UInt8]) -> [Identifier]? {
    var parts: [Identifier] = []
    var rest = text[...]
    repeat {
      guard let part = rest.first == 34 ? quoted(&rest) : plain(&rest) else { return nil }
      parts.append(part)
      guard let separator = rest.popFirst() else { return parts }
      guard separator == 46 else { return nil }
    } while true
  }

  private static func quoted(_ rest: inout ArraySlice<UInt8>) -> Identifier? {
    var bytes: [UInt8] = []
    _ = rest.popFirst()
    while let byte = rest.popFirst() {
      if byte == 34 {
        guard rest.first == 34 else { return bytes.isEmpty ? nil : Identifier(bytes: bytes, isStar: false) }
        _ = rest.popFirst()
      }
      bytes.append(byte)
    }
    return nil
  }

  private static func plain(_ rest: inout ArraySlice<UInt8>) -> Identifier? {
    var bytes: [UInt8] = []
    while let byte = rest.first, byte != 46 {
      guard byte > 32, byte != 34, byte != 40, byte != 41 else { return nil }
      bytes.append(byte >= 65 && byte <= 90 ? byte &+ 32 : byte)
      _ = rest.popFirst()
    }
    return bytes.isEmpty ? nil : Identifier(bytes: bytes, isStar: bytes == [42])
  }

  static func joined(_ parts: [Identifier]) -> [UInt8] {
    Array(parts.map { $0.bytes }.joined(separator: [0]))
  }
}
