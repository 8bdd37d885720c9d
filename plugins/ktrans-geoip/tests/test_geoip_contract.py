"""The geoip enricher under the contract of all enrichers."""

import importlib.util
from pathlib import Path

from ktrans_geoip.enricher import GeoipEnricher, GeoipEnricherConfig

from ktrans.testing.contracts import EnricherContract

_spec = importlib.util.spec_from_file_location("mmdb", Path(__file__).with_name("mmdb.py"))
mmdb = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(mmdb)


class TestGeoip(EnricherContract):
    covers = ("geoip",)

    def make(self, context):
        places = {"10.0.0.0/8": {"country": {"iso_code": "US"}}}
        places |= {"2001:db8::/32": {"country": {"iso_code": "DE"}}}
        mmdb.write_mmdb(context.base_dir / "city.mmdb", "GeoLite2-City", places)
        numbers = {"93.184.0.0/16": {"autonomous_system_number": 64500}}
        mmdb.write_mmdb(context.base_dir / "asn.mmdb", "GeoLite2-ASN", numbers, ip_version=4)
        return GeoipEnricher(GeoipEnricherConfig(city="city.mmdb", asn="asn.mmdb"), context)
