/// What a fake value is a fake of.
///
/// A fake is chosen by a keyed digest of the value and by nothing else: equal values have equal fakes in every table, and
/// who does not know the secret cannot compute a fake, nor lead one back. Every kind whose values are made to be unique
/// (email, username, uuid, iban) draws from at least 2^49 values, so that among a million values no two are expected to
/// share one; names, cities and phones do repeat, as they do in life.
enum FakeKind: CaseIterable {
  case name, firstName, lastName, username, email, phone, address, street, city, postcode, country, company, card, iban,
    ip, uuid, date, url

  /// As users write it.
  var name: StaticString {
    switch self {
    case .name: "name"
    case .firstName: "first_name"
    case .lastName: "last_name"
    case .username: "username"
    case .email: "email"
    case .phone: "phone"
    case .address: "address"
    case .street: "street"
    case .city: "city"
    case .postcode: "postcode"
    case .country: "country"
    case .company: "company"
    case .card: "card"
    case .iban: "iban"
    case .ip: "ip"
    case .uuid: "uuid"
    case .date: "date"
    case .url: "url"
    }
  }

  static var accepted: StaticString {
    """
    name, first_name, last_name, username, email, phone, address, street, city, postcode, country, company, card, \
    iban, ip, uuid, date, url
    """
  }

  /// nil where there is no such kind.
  init?(_ text: ByteView) {
    for kind in FakeKind.allCases where text.isEqual(to: ByteView(kind.name)) {
      self = kind
      return
    }
    return nil
  }

  /// The fewest characters in which a value of the kind can be told: a shorter column cannot have the kind. Words are
  /// cut to fit, what has to be valid (an address that parses, a number with a check digit) is not.
  var fewestCharacters: Int {
    switch self {
    case .firstName, .lastName, .city, .country, .company: 4
    case .name: 8
    case .postcode: 5
    case .username: 10
    case .date: 10
    case .street: 12
    case .phone: 12
    case .ip: 15
    case .card: 16
    case .address: 20
    case .email: 22
    case .iban: 22
    case .url: 30
    case .uuid: 36
    }
  }
}
