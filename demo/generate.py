#!/usr/bin/env python3
"""Writes the demo's data: data/customers.csv.gz, orders.csv.gz, payments.csv.gz.

    demo/generate.py            write the files
    demo/generate.py --check    exit 1 when the files differ from what would be written

Nobody in here is real. Names come from the lists below, which were written for
this project. E-mail domains are those reserved for examples (RFC 2606), phone
numbers lie in the ranges that each country's regulator keeps free for films
and books, card numbers in ranges that payment processors publish for tests.
"""

import argparse
import csv
import datetime
import gzip
import io
import pathlib
import random
import sys
import unicodedata

SEED = 20250917
CUSTOMERS = 10_000
ORDERS = 25_000
FIRST_DAY = datetime.date(2021, 1, 4)
LAST_SIGN_UP = datetime.date(2025, 6, 30)
LAST_DAY = datetime.date(2025, 9, 30)

NAMES = {
    "english": (
        "Abigail Adam Alice Amber Andrew Anna Ben Bridget Caleb Cara Charlotte Claire Connor Daniel Daisy "
        "David Eleanor Ellis Emily Ethan Fiona Finn George Grace Hannah Harry Hazel Henry Imogen Isaac Ivy "
        "Jack James Jane Jasper Joanna Joseph Kate Keith Laura Leo Liam Lucy Luke Maeve Martin Megan Molly "
        "Nathan Niamh Nora Oliver Oscar Patrick Paula Peter Rachel Robert Rory Ruth Samuel Sarah Simon Sophie "
        "Stella Tessa Thomas Toby Violet Walter William Zoe",
        "Adams Allen Archer Ashby Atkins Baker Barlow Bennett Bishop Booth Bradley Brennan Brooks Burke Carter "
        "Chapman Clarke Coleman Cooper Crawford Dalton Dawson Doyle Drake Elliott Evans Fisher Fletcher Foster "
        "Gallagher Gibson Graham Grant Griffin Hale Harper Hartley Hayes Holland Hughes Irving Jenkins Keane "
        "Kelly Lambert Lawson Marsh Mason Mercer Morgan Murphy Nolan Norris O'Brien O'Neill Osborne Palmer "
        "Parker Pearce Porter Quinn Reed Reynolds Sawyer Shaw Spencer Stone Sutton Turner Walsh Webb Whitaker",
    ),
    "french": (
        "Adèle Amélie Antoine Aurélie Bastien Camille Chloé Clément Corinne Damien Élise Émile Étienne Fabien "
        "Florence Gaëlle Guillaume Hélène Hugo Inès Jérôme Juliette Léa Loïc Lucie Manon Mathieu Noémie Océane "
        "Pascal Quentin Rémi Sabine Théo Valérie Yves Zélie",
        "Arnaud Aubert Barbier Beaumont Berger Blanchard Bouvier Carpentier Chevalier Colin Delorme Deschamps "
        "Dubois Dumas Fabre Faure Fontaine Garnier Gauthier Giraud Lacroix Lambert Langlois Lefèvre Lemaire "
        "Marchand Mercier Moreau Noël Perrin Picard Renaud Rousseau Sauvage Tessier Vasseur Vidal",
    ),
    "german": (
        "Anja Annika Bastian Bernd Björn Carla Christoph Dagmar Dieter Elke Felix Frieda Georg Greta Hanna "
        "Heike Ingo Jana Jörg Jürgen Katrin Klaus Lena Lukas Marlene Matthias Moritz Nele Oskar Petra Ralf "
        "Sabine Steffen Swantje Till Ulrike Wiebke",
        "Albrecht Bauer Baumann Beck Böhm Brandt Busch Dietrich Engel Fischer Frank Fuchs Graf Günther Hartmann "
        "Herrmann Huber Jäger Kaiser Keller Koch König Krämer Kuhn Lang Lorenz Möller Neumann Pohl Richter "
        "Schäfer Schreiber Schröder Seidel Vogel Weber Winkler Zimmermann",
    ),
    "swedish": (
        "Agnes Albin Alva Anders Arvid Astrid Axel Birgitta Britta Ebba Edvin Elin Elsa Emil Freja Gösta Gustav "
        "Håkan Hedda Ida Ingrid Jonas Karin Lars Linnea Lovisa Märta Nils Olle Pär Saga Sigrid Sixten Solveig "
        "Sven Tilda Ulla Viggo",
        "Ahlgren Åberg Åkesson Bergström Björk Blomqvist Dahl Ek Ekström Engström Forsberg Fredriksson Gunnarsson "
        "Hedlund Hellström Holm Isaksson Jönsson Lindberg Lindgren Löfgren Lundqvist Malmberg Nordin Nyberg "
        "Nyström Öberg Olofsson Palm Rydberg Sandberg Sjöberg Ström Sundin Svensson Wallin Westerlund",
    ),
    "world": (
        "Adaeze Aisha Alejandro Amara Ananya Anh Arjun Beatriz Carmen Chidi Chinonso Daniela Deepa Diego Elif "
        "Emre Esra Farah Fatima Giulia Hassan Hiroshi Huan Ibrahim Ilaria Imani Javier Jin Kavya Kenji Kofi "
        "Layla Leila Lin Lorenzo Magda Marek Mariam Mei Minh Nadia Nikolai Noor Olga Omar Paolo Piotr Priya "
        "Rafael Rania Ravi Rosa Samir Sana Sofia Sunita Tariq Thandi Tomasz Valentina Wei Yara Yuki Yusuf",
        "Abebe Adeyemi Agarwal Alvarez Anand Aydin Banerjee Barbosa Bianchi Castillo Chaudhry Chen Costa Dang "
        "Desai Diallo Dlamini Eze Farouk Fernandes Ferrari Fujita Ghosh Gomez Haddad Hassan Herrera Hoang Ito "
        "Iyer Kamara Kapoor Kaya Khan Kim Kovacs Kowalski Kumar Li Lim Mahmoud Marino Mbeki Mehta Mendoza "
        "Mensah Moretti Nakamura Nguyen Novak Nwosu Okafor Okoye Ortiz Osman Park Patel Pereira Pham Popescu "
        "Qureshi Ramos Rossi Sahin Santos Sato Shah Silva Singh Suzuki Tanaka Torres Tran Vargas Wang Wu Yilmaz",
    ),
}

# Country: weight, name list, cities, phone ranges (# is any digit).
COUNTRIES = {
    "United States": (
        34, "english",
        "Albany|Austin|Boise|Boston|Chicago|Cleveland|Columbus|Dallas|Denver|Detroit|Houston|Madison|Memphis|"
        "Nashville|New York|Oakland|Omaha|Phoenix|Portland|Raleigh|Sacramento|San Diego|Seattle|Tucson",
        "+1 202-555-01##|+1 212-555-01##|+1 303-555-01##|+1 312-555-01##|+1 415-555-01##|+1 512-555-01##|"
        "+1 617-555-01##|+1 702-555-01##|+1 206-555-01##",
    ),
    "Canada": (
        9, "english",
        "Calgary|Edmonton|Halifax|Hamilton|Montreal|Ottawa|Quebec|Regina|Toronto|Vancouver|Victoria|Winnipeg",
        "+1 403-555-01##|+1 416-555-01##|+1 514-555-01##|+1 604-555-01##|+1 613-555-01##",
    ),
    "United Kingdom": (
        18, "english",
        "Aberdeen|Bath|Belfast|Birmingham|Bristol|Cardiff|Edinburgh|Exeter|Glasgow|Leeds|Leicester|Liverpool|"
        "London|Manchester|Norwich|Nottingham|Oxford|Sheffield|Swansea|York",
        "+44 7700 900###|+44 20 7946 0###|+44 161 496 0###|+44 131 496 0###|+44 113 496 0###",
    ),
    "Ireland": (5, "english", "Cork|Dublin|Galway|Kilkenny|Limerick|Sligo|Waterford", "+353 20 91# ####"),
    "Australia": (
        8, "english",
        "Adelaide|Brisbane|Cairns|Canberra|Darwin|Hobart|Melbourne|Newcastle|Perth|Sydney",
        "+61 2 5550 ####|+61 3 5550 ####|+61 7 5550 ####|+61 8 5550 ####",
    ),
    "France": (
        10, "french",
        "Angers|Bordeaux|Brest|Dijon|Grenoble|Lille|Lyon|Marseille|Montpellier|Nantes|Nice|Paris|Rennes|"
        "Strasbourg|Toulouse",
        "+33 1 99 00 ## ##|+33 2 61 91 ## ##|+33 3 53 01 ## ##|+33 4 65 71 ## ##|+33 5 36 49 ## ##|"
        "+33 6 39 98 ## ##",
    ),
    "Germany": (
        11, "german",
        "Augsburg|Berlin|Bonn|Bremen|Dresden|Essen|Frankfurt|Freiburg|Hamburg|Hannover|Kiel|Köln|Leipzig|Mainz|"
        "München|Nürnberg|Stuttgart",
        "+49 30 23125 ###|+49 69 90009 ###|+49 40 66969 ###|+49 221 4710 ###|+49 89 99998 ###",
    ),
    "Sweden": (
        5, "swedish",
        "Göteborg|Helsingborg|Linköping|Luleå|Lund|Malmö|Norrköping|Örebro|Stockholm|Umeå|Uppsala|Västerås",
        "+46 70 174 06 ##|+46 8 465 004 ##|+46 31 390 06 ##|+46 40 628 04 ##",
    ),
}

DOMAINS = ("example.com", "example.org", "example.net")

# Where payment processors' published test cards begin: (prefix, length, weight).
TEST_CARDS = (
    ("424242", 16, 30), ("411111", 16, 25), ("400000", 16, 10), ("555555", 16, 20),
    ("222300", 16, 5), ("378282", 15, 5), ("371449", 15, 2), ("601111", 16, 3),
)

# {phone} and {email} are the customer's or a relative's: free text is where personal data hides.
NOTES = (
    "Prefers calls after 18:00 on {phone}",
    "Invoices go to {email}",
    "Moved house, old number was {phone}",
    "Asked for a copy of all stored data",
    "Leave parcels with the neighbour, {relative}",
    "Account shared with {relative}",
    "Do not call; write to {email}",
    "Name on the card is {relative}",
    "Complained about a late parcel, voucher sent",
    "Wheelchair user, needs the ground-floor desk",
    "Birthday discount promised to {relative}",
    "Second contact: {relative}, {phone}",
)

# item, price in cents
ITEMS = (
    ("desk lamp", 3490), ("oak shelf", 12900), ("wool blanket", 5950), ("tea pot", 2795), ("cutting board", 1990),
    ("floor cushion", 3250), ("wall clock", 4400), ("linen curtain", 6490), ("cast-iron pan", 5490),
    ("garden chair", 7900), ("plant pot", 1250), ("bread knife", 2400), ("door mat", 1890), ("coat rack", 8850),
    ("picture frame", 1590), ("storage basket", 2190), ("bath towel", 1690), ("bedside table", 10900),
    ("coffee grinder", 6990), ("candle holder", 990), ("mirror", 9450), ("step stool", 3990), ("salt mill", 1790),
    ("reading chair", 34900),
)


class Dice:
    """Random choices that come out the same with every Python.

    Only random() keeps its sequence from one Python version to the next;
    choice(), randrange() and shuffle() may change, so they are not used.
    """

    def __init__(self, seed):
        self._random = random.Random(seed).random

    def below(self, bound):
        return int(self._random() * bound)

    def chance(self, probability):
        return self._random() < probability

    def pick(self, options):
        return options[self.below(len(options))]

    def weighted(self, options, weights):
        mark = self._random() * sum(weights)
        for option, weight in zip(options, weights):
            mark -= weight
            if mark < 0:
                return option
        return options[-1]

    def skewed(self, bound):
        """A number below bound, small ones more often: some customers buy much more than others."""
        return int(self._random() ** 1.6 * bound)

    def digits(self, pattern):
        return "".join(str(self.below(10)) if sign == "#" else sign for sign in pattern)


def luhn_digit(body):
    """The digit that makes body a valid card number."""
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def card_number(dice):
    prefix, length, _ = dice.weighted(TEST_CARDS, [weight for _, _, weight in TEST_CARDS])
    body = dice.digits(prefix + "#" * (length - len(prefix) - 1))
    return body + luhn_digit(body)


def person(dice, home):
    """First and last name; one in seven people has them from elsewhere than most around them."""
    first, last = NAMES["world" if dice.chance(0.15) else home]
    return dice.pick(first.split()), dice.pick(last.split())


def ascii_only(name):
    plain = unicodedata.normalize("NFKD", name.lower())
    return "".join(sign for sign in plain if sign.isascii() and sign.isalpha())


def email(dice, first, last, taken):
    """An address nobody has yet."""
    first, last = ascii_only(first), ascii_only(last)
    form = dice.pick(("{0}.{1}", "{0}.{1}", "{0}{1}", "{2}{1}", "{0}_{1}"))
    stem = form.format(first, last, first[0])
    domain = dice.pick(DOMAINS)
    address, number = f"{stem}@{domain}", 10 + dice.below(80)
    while address in taken:
        address = f"{stem}{number}@{domain}"
        number += 1
    taken.add(address)
    return address


def day_between(dice, first, last):
    return first + datetime.timedelta(days=dice.below((last - first).days + 1))


def customers(dice):
    sign_ups = sorted(day_between(dice, FIRST_DAY, LAST_SIGN_UP) for _ in range(CUSTOMERS))
    taken = set()
    rows = []
    for number, signed_up in enumerate(sign_ups, start=1):
        country = dice.weighted(list(COUNTRIES), [weight for weight, *_ in COUNTRIES.values()])
        _, home, cities, phones = COUNTRIES[country]
        first, last = person(dice, home)
        address = email(dice, first, last, taken)
        phone = dice.digits(dice.pick(phones.split("|")))
        note = ""
        if dice.chance(0.5):
            note = dice.pick(NOTES).format(phone=phone, email=address, relative=f"{person(dice, home)[0]} {last}")
        rows.append((number, f"{first} {last}", address, phone, card_number(dice),
                     dice.pick(cities.split("|")), country, signed_up, note))
    return rows


def money(cents):
    return f"{cents // 100}.{cents % 100:02d}"


def orders(dice, buyers):
    drafts = []
    for _ in range(ORDERS):
        buyer = buyers[dice.skewed(len(buyers))]
        item, price = dice.pick(ITEMS)
        quantity = dice.weighted((1, 2, 3, 4, 6), (60, 22, 9, 6, 3))
        drafts.append((day_between(dice, buyer[7], LAST_DAY), buyer[0], item, quantity, price * quantity))
    # Orders are numbered as they come in.
    drafts.sort()
    rows = []
    for number, (placed_on, customer, item, quantity, cents) in enumerate(drafts, start=1):
        recent = (LAST_DAY - placed_on).days < 10
        status = (dice.weighted(("placed", "paid", "shipped"), (30, 40, 30)) if recent
                  else dice.weighted(("delivered", "returned", "cancelled"), (91, 4, 5)))
        rows.append((number, customer, placed_on, status, item, quantity, money(cents)))
    return rows


def payments(dice, sold):
    rows = []

    def add(order, paid_on, method, status, amount):
        rows.append((len(rows) + 1, order, paid_on, method, status, amount))

    for order, _, placed_on, status, _, _, amount in sold:
        if status == "placed":
            continue
        method = dice.weighted(("card", "wallet", "transfer"), (72, 18, 10))
        paid_on = placed_on + datetime.timedelta(days=dice.below(3) if method == "transfer" else 0)
        if status == "cancelled":
            add(order, paid_on, method, "voided", amount)
            continue
        if method == "card" and dice.chance(0.04):
            add(order, paid_on, method, "declined", amount)
        add(order, paid_on, method, "refunded" if status == "returned" else "captured", amount)
    return rows


def tables():
    dice = Dice(SEED)
    people = customers(dice)
    sold = orders(dice, people)
    paid = payments(dice, sold)
    return {
        "customers": ("id full_name email phone card_number city country signed_up note", people),
        "orders": ("id customer_id placed_on status item quantity total", sold),
        "payments": ("id order_id paid_on method status amount", paid),
    }


def csv_bytes(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split())
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def packed(content):
    """gzip without file name and time, so that the same content gives the same bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the files with what would be written")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent / "data")
    options = parser.parse_args()

    differing = 0
    for name, (header, rows) in tables().items():
        path = options.out / f"{name}.csv.gz"
        content = csv_bytes(header, rows)
        if options.check:
            # The content decides: another zlib may pack the same text into other bytes.
            same = path.exists() and gzip.decompress(path.read_bytes()) == content
            differing += not same
            print(f"{path.name}: {len(rows)} rows, {'as generated' if same else 'DIFFERS'}")
        else:
            options.out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed(content))
            print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
