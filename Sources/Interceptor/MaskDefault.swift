/// A method with options that a label stands for.
struct MaskDefault {
  let method: StaticString
  /// A JSON object.
  let options: StaticString

  init(_ method: StaticString, _ options: StaticString = "{}") {
    self.method = method
    self.options = options
  }

  /// The method of that rank, from 0 on, for a column that carries the labels. Of several labels a secret one decides,
  /// then the first that says something. nil where there are no more: the type decides.
  static func find(for labels: [TextView], rank: Int) -> MaskDefault? {
    var found: [MaskDefault] = []
    for label in labels {
      let words = label.copy.split(separator: 46)
      if words.first?.elementsEqual([UInt8]("secret")) == true {
        found = secret
        break
      }
      if found.isEmpty { found = methods(words) }
    }
    return found.indices.contains(rank) ? found[rank] : nil
  }

  private static let secret = [MaskDefault("redact"), MaskDefault("null")]

  /// The most special word decides: pii.contact.email is an e-mail address, pii.email.note a note.
  private static func methods(_ words: [ArraySlice<UInt8>]) -> [MaskDefault] {
    for word in words.reversed() {
      for entry in table where word.elementsEqual([UInt8](entry.word)) { return entry.methods }
      for entry in prefixes where word.starts(with: [UInt8](entry.word)) { return entry.methods }
    }
    return []
  }

  /// Methods that keep what analysis needs (a domain, a year, a network) before those that keep less.
  private static let table: [(word: StaticString, methods: [MaskDefault])] = [
    ("email", [MaskDefault("email")]),
    ("name", names),
    ("first_name", names),
    ("last_name", names),
    ("full_name", names),
    ("phone", lastFour),
    ("card", lastFour),
    ("payment", lastFour),
    ("iban", lastFour),
    ("account", lastFour),
    ("ip", [MaskDefault("ip_prefix")]),
    ("address", [MaskDefault("fake", "{\"kind\": \"address\"}"), MaskDefault("redact")]),
    ("note", notes),
    ("notes", notes),
    ("comment", notes),
    ("free_text", notes),
    ("user_id", [MaskDefault("hash")]),
  ]
  private static let prefixes: [(word: StaticString, methods: [MaskDefault])] = [
    ("birth", [MaskDefault("year"), MaskDefault("redact")])
  ]
  private static let names = [
    MaskDefault("fake", "{\"kind\": \"name\"}"), MaskDefault("partial", "{\"prefix\": 1}"), MaskDefault("redact"),
  ]
  private static let lastFour = [MaskDefault("last4"), MaskDefault("redact")]
  private static let notes = [MaskDefault("scrub"), MaskDefault("redact")]
}
