# SPDX-License-Identifier: Apache-2.0
"""What the synthetic voices say: sentences, and invented words where a language has too few."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

__all__ = ["SENTENCES", "SYLLABLES", "TEST_SENTENCES", "english_words", "gesture_sentences", "invent"]

SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    "en": (
        "Good morning, everybody, it is nice to see you here.",
        "My fellow citizens, we have come a long way together.",
        "What would you like to drink, tea or coffee?",
        "He put the paper bag on top of the piano.",
        "Thank you very much for all your help this week.",
        "I do not know what they want from us.",
        "Maybe we should move the meeting to Wednesday.",
        "She sells fresh fish and vegetables at the market.",
        "Fifty five people have already bought a ticket.",
        "Would you please open the window for a moment?",
        "Now let us talk about the future of our country.",
        "The judge checked the change in the jar.",
        "You have to push the button before you pull the lever.",
        "Both brothers bathe in the cold north river.",
        "How many times have I told you about that?",
        "They asked for more, and more is what they got.",
        "This is the voice of the people, and the people have spoken.",
        "Over the mountains the weather was mild and warm.",
        "We choose to do these things because they are hard.",
        "Ladies and gentlemen, welcome aboard.",
        "Do you think that we could leave a little earlier?",
        "Beautiful music was playing in the background.",
        "There is no reason to be afraid of the dark.",
        "I love the way you laugh when you are happy.",
        "Seven silver spoons were stolen from the kitchen.",
        "Look at me, look at them, and tell me the truth.",
        "When I was young my father used to work at night.",
        "The power of the government comes from those it governs.",
        "Mama made marmalade for Peter, Barbara and Bob.",
        "Could you show me how this machine works?",
    ),
    "de": (
        "Guten Morgen, wie geht es Ihnen heute?",
        "Der kleine Hund läuft schnell über die grüne Wiese.",
        "Ich möchte bitte ein Stück Kuchen und eine Tasse Kaffee.",
        "Morgen früh fahren wir mit dem Zug nach München.",
        "Das Mädchen spielt mit seinem Bruder im Garten.",
        "Können Sie mir bitte sagen, wo der Bahnhof ist?",
        "Wir haben gestern Abend zu viel gesprochen.",
        "Öffnen Sie das Fenster, es ist sehr warm hier.",
    ),
    "fr": (
        "Bonjour, comment allez-vous aujourd'hui?",
        "Je voudrais un peu de pain et de beurre, s'il vous plaît.",
        "La petite fille joue avec son frère dans le jardin.",
        "Nous partons demain matin pour la montagne.",
        "Il fait beau, mais le vent est un peu froid.",
        "Pouvez-vous me dire où se trouve la gare?",
        "Elle a beaucoup travaillé pour finir son livre.",
        "Un bon vin blanc avec du poisson, c'est parfait.",
    ),
    "es": (
        "Buenos días, ¿cómo está usted hoy?",
        "Quisiera un vaso de agua y un poco de pan, por favor.",
        "El perro pequeño corre por la calle vieja.",
        "Mañana por la mañana salimos para la montaña.",
        "¿Puede decirme dónde está la estación?",
        "Me gusta mucho escuchar música por la noche.",
    ),
    "pt-br": (
        "Bom dia, como vai você hoje?",
        "Eu queria um copo de água e um pouco de pão, por favor.",
        "A menina brinca com o irmão no jardim.",
        "Amanhã de manhã vamos viajar para a montanha.",
    ),
    "nl": (
        "Goedemorgen, hoe gaat het met u vandaag?",
        "Ik wil graag een kopje koffie en een stuk brood.",
        "De kleine hond loopt snel over het groene veld.",
        "Morgen gaan wij met de trein naar de stad.",
    ),
    "pl": (
        "Dzień dobry, jak się pan dzisiaj czuje?",
        "Poproszę szklankę wody i kawałek chleba.",
        "Mała dziewczynka bawi się z bratem w ogrodzie.",
        "Jutro rano pojedziemy w góry pociągiem.",
    ),
    "ru": (
        "Доброе утро, как вы себя чувствуете сегодня?",
        "Я хотел бы стакан воды и немного хлеба.",
        "Маленькая девочка играет с братом в саду.",
        "Завтра утром мы поедем в горы на поезде.",
    ),
    "tr": (
        "Günaydın, bugün nasılsınız?",
        "Bir bardak su ve biraz ekmek istiyorum.",
        "Küçük kız bahçede kardeşiyle oynuyor.",
    ),
    "hu": (
        "Jó reggelt, hogy van ma?",
        "Kérek egy pohár vizet és egy kis kenyeret.",
        "A kislány a testvérével játszik a kertben.",
    ),
    "el": (
        "Καλημέρα, πώς είστε σήμερα;",
        "Θα ήθελα ένα ποτήρι νερό και λίγο ψωμί.",
        "Το μικρό κορίτσι παίζει στον κήπο.",
    ),
    "ro": (
        "Bună dimineața, ce mai faceți astăzi?",
        "Aș dori un pahar cu apă și puțină pâine.",
        "Fetița se joacă în grădină.",
    ),
    "id": (
        "Selamat pagi, apa kabar hari ini?",
        "Saya mau segelas air dan sedikit roti.",
        "Anak kecil itu bermain di kebun.",
    ),
    "ja": (
        "おはようございます、おげんきですか。",
        "みずをいっぱいください。",
        "ちいさなこどもがにわであそんでいます。",
    ),
    "hi": ("नमस्ते, आप आज कैसे हैं?", "मुझे एक गिलास पानी चाहिए।", "छोटी लड़की बगीचे में खेल रही है।"),
}
"""Training sentences by language. The keys are espeak-ng's."""

SYLLABLES: Final[dict[str, tuple[str, str, str]]] = {
    # onsets, vowels, codas as they are spelt; a dot stands for none
    "en": (
        ". b bl br ch cl d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sk sl sm sn sp st str sw t th tr tw "
        "v w y z",
        "a e i o u ay ee oa oo ai ea ow ou oy ar er or aw igh",
        ". . b ck d f g l m n nd ng nt p r s sh st t th v x ze lf mp",
    ),
    "de": (
        ". b bl br d dr f fr g gr h j k kl kr l m n p pf r s sch schl sp st t tr v w z",
        "a e i o u ä ö ü ei au eu ie ah oh uh",
        ". . n r l t s ch m ng nd rt st cht",
    ),
    "fr": (
        ". b bl br c ch cl cr d f fl g gr j l m n p pl pr qu r s t tr v",
        "a e é i o u ou eu oi ai an on in un au è",
        ". . . r l s t que ge me ne se",
    ),
    "es": (". b br c ch d f g h j l ll m n ñ p pr qu r rr s t tr v z", "a e i o u ie ue ia io", ". . . n r s l d z"),
    "pt-br": (
        ". b br c ch d f g j l lh m n nh p pr qu r s t tr v z x",
        "a e i o u ão õe ei ou ã é ó",
        ". . . r s l m z",
    ),
    "nl": (
        ". b br d dr f g gr h j k kl l m n p r s sch sl st t v w z",
        "a e i o u aa ee oo oe ij ui ou eu ie",
        ". . n r l t s k ng cht st",
    ),
    "pl": (
        ". b br c ch cz d dz f g h j k kr l ł m n ń p pr r rz s sz ś t tr w z ż",
        "a e i o u y ą ę ó",
        ". . . k n m ł ć sz w r t",
    ),
    "tr": (". b c ç d f g h j k l m n p r s ş t v y z", "a e ı i o ö u ü", ". . n r l k t m ş z"),
    "hu": (
        ". b cs d f g gy h j k l m n ny p r s sz t ty v z zs",
        "a á e é i í o ó ö ő u ú ü ű",
        ". . n r l k t m s sz",
    ),
    "ro": (". b c ch d f g gh h j l m n p r s ș t ț v z", "a e i o u ă â î ea oa", ". . n r l t m ș c"),
    "id": (". b c d g h j k l m n ng ny p r s t w y", "a e i o u ai au", ". . n r k t ng m h s"),
    "ru": (". б в г д ж з к л м н п р с т ф х ц ч ш щ", "а е и о у ы э ю я", ". . н р л т м к с ш ль сть"),
    "el": (". β γ δ ζ θ κ λ μ ν ξ π ρ σ τ φ χ ψ μπ ντ", "α ε η ι ο υ ω ου ει αι", ". . . ς ν ρ λ"),
    "ja": (". か さ た な は ま ら が ざ だ ば ぱ し ち つ ふ じ", "あ い う え お", ". . . ん"),
}

TEST_SENTENCES: Final[dict[str, tuple[str, ...]]] = {
    # the first English ones are from the Harvard lists (IEEE, 1969)
    "en": (
        "The birch canoe slid on the smooth planks.",
        "Glue the sheet to the dark blue background.",
        "It is easy to tell the depth of a well.",
        "These days a chicken leg is a rare dish.",
        "Rice is often served in round bowls.",
        "The juice of lemons makes fine punch.",
        "The box was thrown beside the parked truck.",
        "The hogs were fed chopped corn and garbage.",
        "Four hours of steady work faced us.",
        "A large size in stockings is hard to sell.",
        "The boy was there when the sun rose.",
        "A rod is used to catch pink salmon.",
        "The source of the huge river is the clear spring.",
        "Kick the ball straight and follow through.",
        "Help the woman get back to her feet.",
        "A pot of tea helps to pass the evening.",
        "Smoky fires lack flame and heat.",
        "The soft cushion broke the man's fall.",
        "The salt breeze came across from the sea.",
        "The girl at the booth sold fifty bonds.",
    ),
    "it": (
        "Buongiorno, vorrei un caffè e un bicchiere d'acqua.",
        "La bambina gioca con la palla nel giardino.",
        "Domani mattina partiamo per la montagna con il treno.",
        "Il gatto dorme sopra la sedia vicino alla porta.",
        "Mi piace molto ascoltare la musica di sera.",
        "Quanto costa questo libro sulla storia di Roma?",
        "Abbiamo bisogno di pane, formaggio e pomodori.",
        "Il professore spiega la lezione agli studenti.",
        "Oggi fa bello, ma ieri pioveva tutto il giorno.",
        "Puoi aprire la finestra, per favore?",
        "Mio fratello lavora in una banca di Milano.",
        "Il mare era calmo e il cielo senza nuvole.",
        "Ho dimenticato le chiavi sul tavolo della cucina.",
        "La nonna prepara una buona minestra di verdura.",
        "Gli amici arrivano alle otto per la cena.",
        "Non so che cosa vuole dire questa parola.",
        "Prendi la seconda strada a destra dopo il ponte.",
        "Il bambino ha paura del buio e del temporale.",
        "Questa estate vogliamo visitare la Sicilia.",
        "Scusi, dove si trova la fermata dell'autobus?",
    ),
    "sv": (
        "God morgon, hur mår du i dag?",
        "Flickan leker med sin bror i trädgården.",
        "Jag vill gärna ha en kopp kaffe och en smörgås.",
        "I morgon bitti åker vi tåg till fjällen.",
        "Katten sover på stolen bredvid dörren.",
        "Kan du öppna fönstret, det är varmt här inne.",
        "Min mamma arbetar på ett sjukhus i Stockholm.",
        "Vi behöver bröd, ost, mjölk och tomater.",
        "Havet var lugnt och himlen var blå.",
        "Läraren förklarar uppgiften för eleverna.",
        "Hur mycket kostar den här boken?",
        "Det regnade hela dagen i går.",
        "Han glömde nycklarna på köksbordet.",
        "Våra vänner kommer klockan sju på kvällen.",
        "Jag förstår inte vad det här ordet betyder.",
        "Ta den andra gatan till vänster efter bron.",
        "Pojken är rädd för mörkret.",
        "På sommaren badar vi i sjön varje dag.",
        "Ursäkta, var ligger närmaste busshållplats?",
        "Hon läser en bok om gamla skepp.",
    ),
}
"""Sentences that no recogniser may be trained on; Italian and Swedish are not trained on at all."""


def english_words() -> list[str]:
    """The words of the dictionary that pocketsphinx carries, sorted; empty without pocketsphinx."""
    try:
        from pocketsphinx import get_model_path
    except ImportError:
        return []
    with open(get_model_path("en-us/cmudict-en-us.dict"), encoding="utf-8") as file:
        words = {line.split()[0] for line in file if line.strip()}
    return sorted(w for w in words if w.isalpha() and 1 < len(w) < 12)


@lru_cache(maxsize=1)
def gesture_sentences() -> list[str]:
    """The sentences of the gesture table: things people say, four to a dozen words each."""
    table = Path(__file__).parents[2] / "script" / "gestures.json"
    gestures = json.loads(table.read_text(encoding="utf-8"))["gestures"]
    return sorted({u for g in gestures for u in g["utterances"]})


def invent(language: str, rng: np.random.Generator, words: int) -> str:
    """A sentence of invented words in a language's spelling, with a comma here and there.

    :raises KeyError: for a language that is not in :data:`SYLLABLES`.
    """
    onsets, vowels, codas = (part.split() for part in SYLLABLES[language])
    made = []
    for _ in range(words):
        syllables = int(rng.choice([1, 2, 2, 3, 3, 4])) if language != "en" else int(rng.choice([1, 1, 2, 2, 3]))
        word = "".join(
            rng.choice(onsets).replace(".", "")
            + rng.choice(vowels)
            + (rng.choice(codas).replace(".", "") if k == syllables - 1 or rng.random() < 0.25 else "")
            for k in range(syllables)
        )
        made.append(word + ("," if rng.random() < 0.12 else ""))
    return " ".join(made).rstrip(",") + "."
