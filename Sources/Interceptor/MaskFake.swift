import Contract

extension MaskMethod {
  /// Another value of the same kind (option `kind`): a name for a name, a card's number for a card's number.
  static let fake = MaskMethod(
    name: "fake",
    kinds: [
      WARDEN_TYPE_TEXT, WARDEN_TYPE_UUID, WARDEN_TYPE_INET, WARDEN_TYPE_CIDR, WARDEN_TYPE_DATE, WARDEN_TYPE_TIMESTAMP,
      WARDEN_TYPE_TIMESTAMPTZ,
    ], masksElements: true, options: ["kind"]
  ) { (row, writer) throws(PolicyError) in
    let kind = try FakeColumn.kind(row)
    writer.append("(warden.mask_fake(")
    try FakeColumn.write(row, to: &writer)
    writer.append(", '")
    writer.append(kind.name)
    writer.append("', ")
    writer.append(number: Int(row.maxCharacters))
    writer.append("))")
  }
}

/// What kinds of fakes a column can hold, and how its value is told.
private enum FakeColumn {
  static func kind(_ row: MaskRow) throws(PolicyError) -> FakeKind {
    let accepted = kinds(row.isArray ? row.element : row.type)
    let word = try MaskOptions(row).word("kind", among: accepted.map { $0.name })
    // A type of its own has one kind, text has many.
    let chosen = accepted.count == 1 ? accepted.first : accepted.first { $0.name.isEqual(to: word) }
    guard let chosen else {
      throw PolicyError(
        .invalidParameter, Message("method fake needs option kind for column \"%1$s\"", row.target.copy),
        hint: Message("Accepted: %1$s.", MaskMethod.list(accepted.map { $0.name })))
    }
    guard row.maxCharacters < 0 || Int(row.maxCharacters) >= chosen.fewestCharacters else {
      throw PolicyError(
        .invalidParameter, Message("column \"%1$s\" is too short for a fake of that kind", row.target.copy),
        hint: Message(
          "Kind %1$s needs %2$s characters.", [UInt8](chosen.name), MaskOptions.digits(chosen.fewestCharacters)))
    }
    return chosen
  }

  private static func kinds(_ type: WardenTypeKind) -> [FakeKind] {
    switch type {
    case WARDEN_TYPE_UUID: [.uuid]
    case WARDEN_TYPE_INET, WARDEN_TYPE_CIDR: [.ip]
    case WARDEN_TYPE_DATE, WARDEN_TYPE_TIMESTAMP, WARDEN_TYPE_TIMESTAMPTZ: [.date]
    default: FakeKind.allCases
    }
  }

  /// As text that no setting of the session changes; citext that is equal, as the same text.
  static func write(_ row: MaskRow, to writer: inout TextWriter) throws(PolicyError) {
    let send: StaticString? =
      switch row.isArray ? row.element : row.type {
      case WARDEN_TYPE_DATE: "date_send"
      case WARDEN_TYPE_TIMESTAMP: "timestamp_send"
      case WARDEN_TYPE_TIMESTAMPTZ: "timestamptz_send"
      default: row.foldsCase && !row.isArray ? "lower" : nil
      }
    guard let send else { return row.writeValue(as: "text", to: &writer) }
    guard !row.isArray else {
      throw PolicyError(
        .invalidParameter,
        Message("method %1$s is not for the type of column \"%2$s\"", [UInt8]("fake"), row.target.copy),
        hint: Message("Use method redact or null."))
    }
    let isFolded = row.foldsCase
    writer.append(isFolded ? "pg_catalog." : "pg_catalog.encode(pg_catalog.")
    writer.append(send)
    writer.append("(")
    if isFolded { row.writeValue(as: "text", to: &writer) } else { writer.append(row.column) }
    writer.append(isFolded ? ")" : "), 'hex')")
  }
}

extension StaticString {
  /// False for nil.
  func isEqual(to other: StaticString?) -> Bool {
    guard let other else { return false }
    return ByteView(self).isEqual(to: ByteView(other))
  }
}

/// Makes a fake value.
struct MaskFake {
  private var draw: FakeDraw
  private var writer: ByteWriter
  private let limit: Int

  /// Writes the value; false where it does not fit into `limit` characters (-1: any number) or into the room.
  static func write(
    _ kind: FakeKind, digest: ByteView, value: ByteView, limit: Int32, to writer: inout ByteWriter
  ) -> Bool {
    guard digest.count == FakeDraw.digestLength else { return false }
    let most = limit < 0 ? writer.room : min(Int(limit), writer.room)
    guard most >= kind.fewestCharacters else { return false }
    var fake = MaskFake(draw: FakeDraw(digest), writer: writer, limit: most)
    fake.write(kind, value)
    writer = fake.writer
    return !writer.overflowed
  }

  private mutating func write(_ kind: FakeKind, _ value: ByteView) {
    let start = writer.count
    switch kind {
    case .name: writeName()
    case .firstName: writer.append(draw.word(FakeWords.first))
    case .lastName: writer.append(draw.word(FakeWords.last))
    case .username: return writeUser(room: limit)
    case .email: return writeEmail()
    case .phone: return writePhone()
    case .address: writeAddress()
    case .street: writeStreet()
    case .city: writeCity()
    case .postcode: return draw.digits(5, to: &writer)
    case .country: writer.append(draw.word(FakeWords.countries))
    case .company: writeCompany()
    case .card: return FakeNumbers.card(&draw, to: &writer)
    case .iban: return FakeNumbers.iban(&draw, to: &writer)
    case .ip: return writeAddressOfNetwork(value)
    case .uuid: return FakeNumbers.uuid(&draw, to: &writer)
    case .date: return writeDate()
    case .url: return writeURL()
    }
    cut(since: start)
  }

  /// Words end where the column does, and not in a space.
  private mutating func cut(since start: Int) {
    guard writer.count &- start > limit else { return }
    var end = start &+ limit
    let text = writer.written(since: start)
    while end > start &+ 1, text[end &- start &- 1] == 0x20 || text[end &- start &- 1] == 0x2C { end &-= 1 }
    writer.rewind(to: end)
  }

  private mutating func writeName() {
    let first = draw.word(FakeWords.first)
    let last = draw.word(FakeWords.last)
    // An initial rather than a name cut off.
    if first.count &+ 1 &+ last.count <= limit {
      writer.append(first)
    } else {
      writer.append(first[0])
      writer.append(0x2E)
    }
    writer.append(0x20)
    writer.append(last)
  }

  /// The suffix is what tells one from another: 40 bits.
  private mutating func writeUser(room: Int) {
    let first = draw.word(FakeWords.first)
    let last = draw.word(FakeWords.last)
    let whole = first.count &+ last.count &+ 2 &+ FakeDraw.suffixLength
    if whole <= room {
      writer.append(lowercase: first)
      writer.append(0x2E)
      writer.append(lowercase: last)
      writer.append(0x2E)
    } else {
      writer.append(lowercase: first.prefix(1))
      writer.append(lowercase: last.prefix(1))
    }
    draw.suffix(to: &writer)
  }

  /// In the domains that RFC 2606 keeps for examples: no mail arrives anywhere.
  private mutating func writeEmail() {
    let domain = draw.word(FakeWords.domains)
    writeUser(room: limit &- domain.count &- 1)
    writer.append(0x40)
    writer.append(domain)
  }

  /// The numbers 555-0100 to 555-0199 of any area of the North American plan are kept for fiction (ATIS-0300115,
  /// 555 NXX Line Number Reference Document). Areas N00 to N09, where N11 are services.
  private mutating func writePhone() {
    writer.append(0x2B)
    writer.append(0x31)
    let isShort = limit < 15
    if !isShort { writer.append(0x2D) }
    let area = 200 &+ draw.below(8) &* 100 &+ FakeWords.areaEnds.element(draw.below(FakeWords.areaEnds.count))
    writer.append(decimal: UInt64(area))
    writer.append(isShort ? "55501" : "-555-01")
    draw.digits(2, to: &writer)
  }

  private mutating func writeStreet() {
    writer.append(decimal: UInt64(draw.below(998) &+ 1))
    writer.append(0x20)
    writer.append(draw.word(FakeWords.streets))
    writer.append(0x20)
    writer.append(draw.word(FakeWords.ways))
  }

  private mutating func writeCity() {
    writer.append(draw.word(FakeWords.cityBeginnings))
    writer.append(draw.word(FakeWords.cityEnds))
  }

  private mutating func writeAddress() {
    writeStreet()
    writer.append(", ")
    writeCity()
    writer.append(0x20)
    draw.digits(5, to: &writer)
  }

  private mutating func writeCompany() {
    writer.append(draw.word(FakeWords.last))
    writer.append(0x20)
    writer.append(draw.word(FakeWords.trades))
    writer.append(0x20)
    writer.append(draw.word(FakeWords.companyForms))
  }

  private mutating func writeURL() {
    writer.append("https://example.com/")
    writeUser(room: limit &- 20)
  }

  /// Of the family of the value: what holds a colon has version 6.
  private mutating func writeAddressOfNetwork(_ value: ByteView) {
    if value.contains(":"), limit >= 39 {
      FakeNumbers.ipv6(&draw, to: &writer)
    } else {
      FakeNumbers.ipv4(&draw, to: &writer)
    }
  }

  /// A day from 1930 to 2009; the 29th of February is never drawn.
  private mutating func writeDate() {
    writer.append(decimal: UInt64(1930 &+ draw.below(80)))
    let month = 1 &+ draw.below(12)
    let days = month == 2 ? 28 : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31
    writer.append(0x2D)
    writer.append(twoDigits: month)
    writer.append(0x2D)
    writer.append(twoDigits: 1 &+ draw.below(days))
  }
}
