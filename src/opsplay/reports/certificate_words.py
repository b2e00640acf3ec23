"""A certificate's words in each language. What a host or a CMS said itself stays as it said it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from opsplay.core.certificate import WORDS
from opsplay.kit.wording import about

_EN: Mapping[str, str] = {
    "title": "Restore drill certificate",
    "SUCCESSFUL": "Successful",
    "FAILED": "Failed",
    "TIMED_OUT": "Ended: it took too long",
    "good": "good",
    "bad": "not good",
    "success": "The backup of {saved} was restored to a separate environment, started and looked at."
    " All of it came back. Production was not touched.",
    "failure": "The backup of {saved} was restored to a separate environment. What came of it is not"
    " good enough: see below. Production was not touched.",
    "wrong": "What is wrong",
    "rto": "Time until the site is back",
    "rto_note": "From the start of the restore to the first good page (RTO).",
    "rpo": "Age of the data",
    "rpo_note": "What was written to the site in this time before the loss would be lost (RPO).",
    "promised": "promised: {time} at most",
    "not_promised": "nothing was promised",
    "kept": "kept",
    "broken": "not kept",
    "not_back": "not back",
    "checks": "What was looked at",
    "what": "What",
    "verdict": "Verdict",
    "found": "What was found",
    "seal": "Seal of the backup",
    "files": "Files",
    "tables": "Tables",
    "last order": "Last order",
    "last post": "Last post",
    "start": "Start of the CMS",
    "pages": "Pages",
    "no mail": "Harmless copy",
    "parts": "What the time went into",
    "part": "Part",
    "time": "Time",
    "files, and making it safe": "Files, and making the copy harmless",
    "database": "Database",
    "first good page": "First good page",
    "looking": "Looking at what came back (not counted)",
    "until it failed": "Until it failed",
    "about": "About this drill",
    "site": "Site",
    "address": "Address",
    "snapshot": "Backup",
    "saved": "Saved",
    "held": "Drill held",
    "place": "Restored in",
    "fetched": "Fetched",
    "run": "Run",
    "tool": "Made by",
    "proof": "How to check that this page is true",
    "proof_text": "The signed text of this certificate is {name}.json; this page only shows it. Its"
    " SHA-256 is",
    "proof_command": "Whoever has the public key (file allowed_signers) checks the signature with:",
    "restored": "restored",
    "failed": "failed",
    "timed out": "ended: it took too long",
    "restore": "Restore",
    "not_the_verdict": "a restore that went well proves nothing alone; the verdict does",
}
_FR: Mapping[str, str] = {
    "title": "Certificat d’exercice de restauration",
    "SUCCESSFUL": "Réussi",
    "FAILED": "Échoué",
    "TIMED_OUT": "Interrompu : trop long",
    "good": "bon",
    "bad": "pas bon",
    "success": "La sauvegarde du {saved} a été restaurée dans un environnement séparé, démarrée et"
    " examinée. Tout est revenu. Le site en production n’a pas été touché.",
    "failure": "La sauvegarde du {saved} a été restaurée dans un environnement séparé. Le résultat"
    " n’est pas suffisant : voir ci-dessous. Le site en production n’a pas été touché.",
    "wrong": "Ce qui ne va pas",
    "rto": "Durée de remise en ligne",
    "rto_note": "Du début de la restauration à la première page correcte (RTO).",
    "rpo": "Âge des données",
    "rpo_note": "Ce qui a été écrit sur le site pendant cette durée avant l’incident serait perdu"
    " (RPO).",
    "promised": "promis : {time} au plus",
    "not_promised": "aucun engagement",
    "kept": "tenu",
    "broken": "non tenu",
    "not_back": "pas remis en ligne",
    "checks": "Ce qui a été vérifié",
    "what": "Objet",
    "verdict": "Verdict",
    "found": "Constat",
    "seal": "Sceau de la sauvegarde",
    "files": "Fichiers",
    "tables": "Tables",
    "last order": "Dernière commande",
    "last post": "Dernier contenu",
    "start": "Démarrage du CMS",
    "pages": "Pages",
    "no mail": "Copie inoffensive",
    "parts": "Détail de la durée",
    "part": "Étape",
    "time": "Durée",
    "files, and making it safe": "Fichiers, et mise en sûreté de la copie",
    "database": "Base de données",
    "first good page": "Première page correcte",
    "looking": "Vérifications (non comptées)",
    "until it failed": "Jusqu’à l’échec",
    "about": "À propos de cet exercice",
    "site": "Site",
    "address": "Adresse",
    "snapshot": "Sauvegarde",
    "saved": "Enregistrée",
    "held": "Exercice tenu",
    "place": "Restaurée dans",
    "fetched": "Téléchargé",
    "run": "Exécution",
    "tool": "Établi par",
    "proof": "Comment vérifier cette page",
    "proof_text": "Le texte signé de ce certificat est {name}.json ; cette page ne fait que le"
    " présenter. Son SHA-256 est",
    "proof_command": "Qui possède la clé publique (fichier allowed_signers) vérifie la signature"
    " ainsi :",
    "restored": "effectuée",
    "failed": "échouée",
    "timed out": "interrompue : trop longue",
    "restore": "Restauration",
    "not_the_verdict": "une restauration qui aboutit ne prouve rien à elle seule ; le verdict, si",
}
_SENTENCES_FR: Mapping[str, str] = {
    "boot_error": "le CMS ne démarre pas : {error}",
    "damage": "{key} {what}",
    "drill_host": "l’environnement d’exercice sur {host}",
    "error": "{error}",
    "file_differs": "{path} n’est pas ce qui avait été sauvegardé",
    "file_missing": "{path} manque",
    "file_unread": "{path} n’a pas pu être lu lors de la sauvegarde : il n’y est pas",
    "files_compared": "{count} fichiers comparés par SHA-256",
    "files_whole": "{count} fichiers, prouvés d’un bloc par le SHA-256 de leur archive",
    "late": "remis en ligne après {measured}, promis en {promised} au plus",
    "more": "et {count} autres du même genre",
    "not_asked": "n’a pas pu être vérifié : {error}",
    "not_tried": "non vérifié : la restauration n’est pas arrivée jusque-là",
    "old": "les données avaient {measured}, promis {promised} au plus",
    "order_missing": "la commande {id} du {at} manque (la dernière est {found})",
    "order_there": "la commande {id} du {at} est là",
    "page_wrong": "page {complaint}",
    "pages_seen": "{count} vue(s), la plus lente en {seconds} s",
    "post_missing": "le contenu {id} du {at} manque (le dernier est {found})",
    "post_there": "le contenu {id} du {at} est là",
    "safe": "le site restauré n’envoie aucun courriel et n’appelle personne",
    "sealed": "le manifeste est signé par une clé reconnue ici",
    "seal_unknown": "aucune clé n’est reconnue ici : la signature du manifeste ne prouve rien",
    "seal_missing": "le manifeste n’est pas signé par une clé reconnue ici",
    "scratch": "un environnement provisoire sur {host}",
    "scratch_alone": "un environnement provisoire sur {host}, sans réseau",
    "started": "version {version}, {modules} modules, PHP {php}",
    "table_missing": "la table {table} manque ({saved} lignes)",
    "table_rows": "la table {table} a {found} lignes sur {saved}",
    "tables_compared": "{tables} tables comparées, {rows} lignes",
    "tables_uncounted": "{tables} tables ; la sauvegarde n’avait pas compté les lignes",
    "unsafe": "le site restauré n’est pas une copie sûre : il pourrait envoyer des courriels",
    "wrong_schema": "schéma de la base {found} au lieu de {wanted}",
    "wrong_version": "version {found} au lieu de {saved}",
}
LABELS = MappingProxyType({"en": _EN, "fr": _FR})
SENTENCES = MappingProxyType({"en": WORDS, "fr": _SENTENCES_FR})
_MONTHS = MappingProxyType(
    {
        "en": "January February March April May June July August September October November"
        " December",
        "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre"
        " décembre",
    }
)


def spoken(seconds: float, language: str) -> str:
    """Return a length of time.

    >>> spoken(259200, "fr"), spoken(6.24, "fr")
    ('3 j', '6,2 s')
    """
    text = about(seconds)
    return text.replace(" d", " j").replace(".", ",") if language == "fr" else text


def day_and_hour(moment: datetime, language: str) -> str:
    """Return a moment in UTC as a person writes it.

    >>> day_and_hour(datetime(2026, 11, 1, 5, 31, tzinfo=UTC), "fr")
    '1er novembre 2026 à 05:31 UTC'
    """
    at = moment.astimezone(UTC)
    month = _MONTHS[language].split()[at.month - 1]
    day = "1er" if language == "fr" and at.day == 1 else str(at.day)
    joined = "à" if language == "fr" else "at"
    return f"{day} {month} {at.year} {joined} {at:%H:%M} UTC"
